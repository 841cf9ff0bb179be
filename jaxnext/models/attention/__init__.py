"""Attention modules, one a file; each has a class ``Attention``."""
