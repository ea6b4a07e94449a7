"""The page that shows where the time of starts goes: one HTML file that needs nothing else."""
