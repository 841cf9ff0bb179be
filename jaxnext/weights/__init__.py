"""Checkpoints from and to other people's files."""
