"""Dependency snapshots: what an install step changed, captured once and restored everywhere."""
