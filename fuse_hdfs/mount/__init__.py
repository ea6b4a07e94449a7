"""The FUSE edge of a mount, and what puts a mount together."""
