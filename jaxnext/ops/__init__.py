"""Primitives that XLA does badly, each with its own gradient."""
