"""The cache of a node as a whole: what is in it, what has to go, and whether it is right."""
