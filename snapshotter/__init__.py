"""containerd remote snapshotter: image layers served lazily, block by block.

Rooms, in the order data flows (imports point downwards only):
service -> snapshots -> images -> blocks -> erofs -> layers -> chunks -> registry.
"""
