"""Fine-tune ResNeXt image classifiers with PyTorch's ImageNet weights, in JAX."""
