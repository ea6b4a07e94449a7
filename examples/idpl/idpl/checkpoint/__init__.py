"""Checkpoints: a directory each, which exists only when it is whole."""
