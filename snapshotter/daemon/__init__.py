"""The server of the snapshotter: `python -m snapshotter.daemon`, as the keeper starts it."""
