"""Experiments: scenarios, runs, results, sweeps and the folders they are kept in."""
