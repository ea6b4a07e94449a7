"""What containerd knows of a container whose snapshot we have: labels, its pod's annotations."""
