"""Readers of the data sets that others publish, where a user has them."""
