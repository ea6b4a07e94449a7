"""The key of an install step: everything its outcome depends on, by name."""
