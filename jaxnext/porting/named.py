"""ImageNet weights that have a name: where each file is, and the config of its network."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from jaxnext.config.sections import ModelConfig
from jaxnext.config.yaml_text import load_config


class Named(NamedTuple):
    """Weights that have a name."""

    url: str
    """of the file; the hex digits after its last hyphen begin its SHA-256"""
    config: str
    """name of the config of their network"""


_TORCHVISION: Final = "https://download.pytorch.org/models/"
_TIMM: Final = "https://github.com/rwightman/pytorch-image-models/releases/download/v0.1-weights/"
# Of IMAGENET1K_V1, and of _V2 where there is one, in torchvision/models/resnet.py.
_DIGITS: Final = {
    "resnet18": ("f37072fd",),
    "resnet34": ("b627a593",),
    "resnet50": ("0676ba61", "11ad3fa6"),
    "resnet101": ("63fe2227", "cd907fc2"),
    "resnet152": ("394f9c45", "f82ba261"),
    "resnext50_32x4d": ("7cdf4587", "1a0047aa"),
    "resnext101_32x8d": ("8ba56ff5", "110c445d"),
    "resnext101_64x4d": ("173b62eb",),
    "wide_resnet50_2": ("95faca4d", "9ba9bcbe"),
    "wide_resnet101_2": ("32ee1156", "d733dc28"),
}
_CONFIGS: Final = {"resnext50_32x4d": "baseline"}
"""Of nets whose config has another name."""


def _torchvisions() -> Iterator[tuple[str, Named]]:
    """Yield name and weights: the net and the member of its enum, in lower case."""
    for net, versions in _DIGITS.items():
        for version, digits in enumerate(versions, start=1):
            yield (
                f"{net}_imagenet1k_v{version}",
                Named(f"{_TORCHVISION}{net}-{digits}.pth", _CONFIGS.get(net, net)),
            )


_OF_TORCHVISION: Final = dict(_torchvisions())

WEIGHTS: Final[dict[str, Named]] = {
    **_OF_TORCHVISION,
    "seresnext50_32x4d.racm_in1k": Named(f"{_TIMM}seresnext50_32x4d_racm-a304a460.pth", "seresnext50_32x4d"),
    "imagenet1k_v1": _OF_TORCHVISION["resnext50_32x4d_imagenet1k_v1"],
    "imagenet1k_v2": _OF_TORCHVISION["resnext50_32x4d_imagenet1k_v2"],
}
"""Weights by torchvision's name, or timm's. Those without a net are of the four settings' ResNeXt-50 (32x4d)."""

BACKBONE: Final = ("block", "stage_sizes", "widths", "features", "stem_features", "groups", "block_attention")
"""The fields of ``ModelConfig`` by which two nets have the same backbone."""


def weights_for(model: ModelConfig, configs: Path) -> tuple[str, str] | None:
    """Return name and config of the newest named weights of a config's backbone; ``None`` where there are none.

    Args:
        model: the ``model`` section.
        configs: folder of the configs that come with the package.
    """
    newest = {named.config: name for name, named in WEIGHTS.items()}
    for config, name in newest.items():
        other = load_config(configs / f"{config}.yaml").model
        if all(getattr(model, field) == getattr(other, field) for field in BACKBONE):
            return name, config
    return None
