"""What a container's start touches: recorded once, and at hand before the next start asks."""
