"""What augmentations do to pixels, each in integers or exact floating point, as Pillow does it; one idea a file."""
