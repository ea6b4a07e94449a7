"""Registry client: HTTP, authentication, ranges, retries, artifacts."""
