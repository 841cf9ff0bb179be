"""Training augmentation, one operation a file."""
