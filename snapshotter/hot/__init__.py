"""Hot blocks: what a start-up touches, recorded, merged, laid out and packed. No FUSE, no HTTP."""
