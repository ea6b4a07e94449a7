"""From what an install step changed to packs, tree and head."""
