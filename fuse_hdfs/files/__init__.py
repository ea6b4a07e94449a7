"""Files as readers and writers have them: striped reading, writing, publishing."""
