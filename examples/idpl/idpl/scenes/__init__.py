"""Street scenes that the example renders itself: two domains with a gap between them."""
