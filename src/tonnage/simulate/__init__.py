"""A service request by request: the same steps as in steady state, on a clock of integer picoseconds."""
