"""Published and exact limits, measured: one module for each kind, a table of all in `experiments.validate`."""
