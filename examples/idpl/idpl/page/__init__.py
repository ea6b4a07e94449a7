"""A page that shows what a run did: pictures, pseudo labels, the split, curves."""
