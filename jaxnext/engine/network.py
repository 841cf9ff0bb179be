"""The network that a config describes."""

from jaxnext.config.sections import ModelConfig, Precision
from jaxnext.models.classifier import Classifier, build


def network(config: ModelConfig, classes: int, precision: Precision, axis_name: str | None = None) -> Classifier:
    """Return the network that a config describes.

    Args:
        config: the ``model`` section.
        classes: number of outputs.
        precision: as for ``models.classifier.build``.
        axis_name: mesh axis over which training splits the batch, or ``None``.

    Raises:
        UsageError: as ``models.classifier.build``.
    """
    return build(
        {name: getattr(config, name) for name in _BACKBONE},
        (config.attention.type, config.attention.options),
        (config.head.type, config.head.options),
        classes,
        precision,
        axis_name,
    )


_BACKBONE = ("stage_sizes", "widths", "features", "stem_features", "groups", "remat")
