"""IDPL: unsupervised domain adaptation for semantic segmentation (arXiv 2210.03435)."""
