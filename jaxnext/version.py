"""The version of the package, said here alone."""

__version__ = "0.1.0"
