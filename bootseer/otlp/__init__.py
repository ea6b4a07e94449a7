"""Spans to OpenTelemetry collectors: OTLP over HTTP, as JSON (opentelemetry-proto 1.x)."""
