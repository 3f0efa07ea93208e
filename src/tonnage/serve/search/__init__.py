"""Every way to serve a job on a system, as arrays of operating points, and which of them is chosen."""
