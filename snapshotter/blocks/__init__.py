"""The data area of a layer as one flat FUSE file; keeper and takeover."""
