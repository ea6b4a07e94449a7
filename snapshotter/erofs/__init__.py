"""Resolved layer trees -> EROFS metadata bytes."""
