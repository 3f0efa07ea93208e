"""The machine at hand measured: kernels, collectives, numerics, stability -> a calibration and a verdict."""
