"""Other people's weights. NumPy only."""
