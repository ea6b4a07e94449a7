"""A snapshot into place by a mount, which the node's daemon makes."""
