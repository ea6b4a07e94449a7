"""Copying files into volumes, out of them and between them, without a mount."""
