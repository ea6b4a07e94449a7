"""What Hadoop's own configuration files say of a cluster, as far as its clients need it."""
