"""Objects under names, in a directory or elsewhere: one small interface, several places."""
