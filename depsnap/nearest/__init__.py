"""`--base nearest`: a step that changed a little runs on the snapshot that it had before."""
