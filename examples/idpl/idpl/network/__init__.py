"""Segmentation networks: a picture in, class scores and features out."""
