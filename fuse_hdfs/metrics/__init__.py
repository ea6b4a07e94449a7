"""What a mount counts, as numbers and in Prometheus' format."""
