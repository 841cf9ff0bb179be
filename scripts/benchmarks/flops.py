"""Arithmetic of a network, counted from its config."""

from jaxnext.config.sections import ModelConfig

TRAIN_PER_FORWARD = 3
"""A training step computes each product three times: forward, gradient of the input, gradient of the weights."""


def forward_flops(config: ModelConfig, classes: int, image_size: int) -> int:
    """Return the operations of one image's forward pass: of convolutions and dense layers, a multiply-add as two.

    What the mathematics needs, whatever an implementation does beyond it (the zeros of packed groups, say).

    Args:
        config: the ``model`` section; attention ``none`` or ``cbam``, any head that is ``linear`` or ``fc``.
        classes: number of outputs.
        image_size: pixels on each side.
    """
    size = _halved(image_size)
    multiply_adds = size**2 * 49 * 3 * config.stem_features
    size, channels = _halved(size), config.stem_features
    stages = zip(config.stage_sizes, config.widths, config.features, strict=True)
    for stage, (blocks, width, features) in enumerate(stages):
        for block in range(blocks):
            stride = 2 if stage > 0 and block == 0 else 1
            before, size = size, _halved(size) if stride == 2 else size
            multiply_adds += before**2 * channels * width
            multiply_adds += size**2 * 9 * (width // config.groups) * width
            multiply_adds += size**2 * width * features
            if stride != 1 or channels != features:
                multiply_adds += size**2 * channels * features
            channels = features
    if config.attention.type == "cbam":
        # The perceptron runs on the average and on the maximum.
        multiply_adds += 2 * 2 * channels * (channels // config.attention["reduction"])
        multiply_adds += size**2 * 2 * config.attention["kernel_size"] ** 2
    for width in config.head["widths"] if config.head.type == "fc" else ():
        multiply_adds += channels * width
        channels = width
    return 2 * (multiply_adds + channels * classes)


def _halved(size: int) -> int:
    """Pixels after a convolution or pool of stride 2 that is padded by half its kernel."""
    return (size + 1) // 2
