"""What a mount looks like: names, numbers, attributes, handles. No FUSE in it."""
