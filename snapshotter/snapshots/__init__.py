"""What snapshots exist, in which state, and the mounts to give for them."""
