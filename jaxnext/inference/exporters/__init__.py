"""Formats of export, one a file; each has a class ``Exporter``."""
