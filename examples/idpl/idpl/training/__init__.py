"""The training: its state, its steps, its loop."""
