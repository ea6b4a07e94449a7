"""Messages and services on the wire. The `.proto` files are ours, `scripts/protos` makes the rest.

They declare only what we use of containerd's API and of gRPC health checking, with the same
packages, names and field numbers, so the bytes are the same.
"""
