"""Layers being served: index on disk, EROFS metadata, mount, cache, check of the whole."""
