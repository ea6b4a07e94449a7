"""The `bootseer` command."""
