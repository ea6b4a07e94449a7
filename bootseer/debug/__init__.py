"""For whoever helps: an archive of what a node's daemon is and does, without secrets."""
