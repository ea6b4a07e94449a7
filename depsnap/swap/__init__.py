"""What is ready beside a directory is put into it: by renames that are finished or undone."""
