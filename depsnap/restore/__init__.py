"""From a snapshot to the directories that it is of."""
