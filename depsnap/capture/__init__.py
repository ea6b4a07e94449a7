"""What an install step changes: the command is run, and what it did is found."""
