"""Startup events analysed: where the time of starts goes, by stage, node and attempt."""
