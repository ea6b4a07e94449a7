"""Spans of what the daemon does, for OpenTelemetry; off unless a collector is configured."""
