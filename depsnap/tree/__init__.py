"""What a snapshot changes in a file system: entries and the packs that hold their contents."""
