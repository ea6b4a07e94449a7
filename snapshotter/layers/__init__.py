"""Layer formats: bytes -> entries and chunks. No I/O in here."""
