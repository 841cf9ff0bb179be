"""A folder of images as a packed data set."""
