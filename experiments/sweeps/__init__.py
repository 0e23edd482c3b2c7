"""Sweeps: what to run, where it runs, and what came of it as a table and a page."""
