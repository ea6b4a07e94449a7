"""Snapshots in an OCI registry."""
