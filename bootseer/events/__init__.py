"""Startup events: which stage of a start began and ended when, on which node and rank."""
