"""Who of several nodes runs an install step while the others wait for its snapshot."""
