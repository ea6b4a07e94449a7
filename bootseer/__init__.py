"""Bootseer: large training jobs start fast."""

__version__ = "0.1.0"
