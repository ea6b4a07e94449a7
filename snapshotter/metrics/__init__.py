"""What the daemon counts: collected in one place, shown as a document and in Prometheus' format."""
