"""The lab's baselines: which rows there are, how each is trained at a scale, what was measured, and what it says."""
