"""Verified chunks: from the local cache, or fetched once."""
