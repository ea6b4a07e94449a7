"""Other lazy snapshotters, run on the lab's nodes to be measured beside ours."""
