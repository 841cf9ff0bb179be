"""Heads, one a file; each has a class ``Head``."""
