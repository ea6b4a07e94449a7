"""What containers read of block files, as the kernel tells it."""
