"""The folded net as a graph of ONNX: traced, translated operation by operation, simplified, and written."""
