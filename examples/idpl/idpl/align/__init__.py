"""Adversarial alignment: features that a discriminator cannot tell apart."""
