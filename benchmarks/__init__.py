"""Measurements that a reader can repeat: `scripts/bench NAME` runs `python -m benchmarks.NAME`."""
