"""Starts of one to thousands of nodes, simulated: `scripts/bench model`."""
