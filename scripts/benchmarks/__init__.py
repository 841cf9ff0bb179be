"""Measurements of this project against PyTorch, one sub-command of ``scripts/benchmark.py`` a file."""
