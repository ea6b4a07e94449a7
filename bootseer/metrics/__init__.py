"""What all daemons share of counting: Prometheus' text, the process' own numbers, serving them."""
