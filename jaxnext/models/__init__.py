"""Flax Linen modules, NHWC."""
