"""What the dynamic loader will read of a program and its libraries, before it does."""
