"""Dependency snapshots as block images, mounted over directories of whoever asks."""
