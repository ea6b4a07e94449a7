"""Messages and services on the wire. The `.proto` files are ours, `scripts/protos` makes the rest.

They declare only what we read of containerd's API, with the same packages, names and field numbers.
"""
