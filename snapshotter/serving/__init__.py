"""Layers being served: index on disk, EROFS metadata, block file, mount, and the check of the whole."""
