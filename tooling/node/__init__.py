"""Installing Bootseer on a node: what `scripts/bootstrap-node` does."""
