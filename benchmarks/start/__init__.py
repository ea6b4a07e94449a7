"""A whole start of a training job, from nothing on the node to its first step."""
