"""All methods on the same pictures, from the same warm-up, with several seeds: one table."""
