"""The page of `scripts/bench model`."""
