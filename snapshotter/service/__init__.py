"""gRPC edge: containerd's snapshots service in, calls on the snapshot store out."""
