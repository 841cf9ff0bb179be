"""Files of weights, read and written without PyTorch."""
