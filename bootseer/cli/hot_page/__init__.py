"""The page that shows a hot report: one HTML file that needs nothing else."""
