"""Snapshots in a store: what they are called there, and how they are found and published."""
