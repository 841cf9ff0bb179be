"""Decoded images, kept."""
