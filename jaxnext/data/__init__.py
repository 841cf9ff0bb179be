"""From image files to batches in host memory. NumPy only."""
