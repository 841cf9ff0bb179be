"""A folder that timm loads: ``timm.create_model("local-dir:FOLDER", pretrained=True)``."""

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxnext.errors import JaxnextError
from jaxnext.inference.weights_exporter import WeightsExporter

if TYPE_CHECKING:
    from jaxnext.config.sections import ModelConfig
    from jaxnext.inference.exporter import Net

WEIGHTS = "model.safetensors"
CONFIG = "config.json"
CARD = "README.md"
_OTHER_NAMES = {"baseline": "resnext50_32x4d"}
"""Nets of timm whose config here has another name."""
_NETS = (
    *("resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "wide_resnet50_2", "wide_resnet101_2"),
    *("baseline", "resnext101_32x8d", "resnext101_64x4d", "seresnext50_32x4d"),
)
"""Names of configs; their weights have the same names in timm and torchvision."""


@dataclasses.dataclass(frozen=True)
class Exporter(WeightsExporter):
    """Weights, config.json and a model card, as timm's ``push_to_hf_hub`` writes them; of the nets that timm has.

    Those are the resnet, wide_resnet, resnext and seresnext configs and ``baseline``, without CBAM and with a linear
    head.
    """

    def weights(self, output: Path) -> Path:
        """Return the file of weights in the folder."""
        return output / WEIGHTS

    def write(self, net: "Net", output: Path) -> None:
        """Write the folder; see ``inference.exporter.Exporter``."""
        if not net.classes:
            raise JaxnextError(f"{net.checkpoint}: expected a trained head, found the backbone alone; export it as pth")
        name = name_of(net.meta.config.model, str(net.checkpoint))
        output.mkdir()
        self.write_weights(net, output, "safetensors")
        (output / CONFIG).write_text(json.dumps(described(net, name), indent=2) + "\n", encoding="utf-8")
        (output / CARD).write_text(card(net, name), encoding="utf-8")


def name_of(model: "ModelConfig", checkpoint: str) -> str:
    """Return timm's name of a net.

    Args:
        model: the ``model`` section of its config.
        checkpoint: for the error.

    Raises:
        JaxnextError: timm has no such net; names what it does not have.
    """
    from jaxnext.config.packaged import configs_folder
    from jaxnext.config.yaml_text import load_config
    from jaxnext.porting.named import BACKBONE

    for key, choice, had in (("attention", model.attention, "none"), ("head", model.head, "linear")):
        if choice.type != had:
            raise JaxnextError(f"{checkpoint}: expected a net that timm has, found model.{key} {choice.type}")
    for config in _NETS:
        known = load_config(configs_folder() / f"{config}.yaml").model
        if all(getattr(model, field) == getattr(known, field) for field in BACKBONE):
            return _OTHER_NAMES.get(config, config)
    names = ", ".join(_OTHER_NAMES.get(config, config) for config in _NETS)
    sizes = f"stages of {list(model.stage_sizes)} blocks, {model.groups} groups, {list(model.features)} features"
    raise JaxnextError(f"{checkpoint}: expected a net that timm has ({names}), found another: {sizes}")


def described(net: "Net", name: str) -> dict[str, Any]:
    """Return what config.json says: the net, its classes, and how timm makes inputs of images."""
    model, (height, width) = net.meta.config.model, net.pixels.size
    # timm's "border" pads with the mean colour; the card says what was trained with.
    shapes = {"stretch": ("squash", 1.0), "pad": ("border", 1.0), "crop": ("center", net.pixels.crop_share)}
    mode, share = shapes[net.pixels.resize]
    return {
        "architecture": name,
        "num_classes": len(net.classes),
        "num_features": model.features[-1],
        "label_names": list(net.classes),
        "pretrained_cfg": {
            "input_size": [3, height, width],
            "fixed_input_size": False,
            "interpolation": "bilinear",
            "crop_pct": share,
            "crop_mode": mode,
            "mean": list(model.mean),
            "std": list(model.std),
            "num_classes": len(net.classes),
            "first_conv": "conv1",
            "classifier": "fc",
        },
    }


def card(net: "Net", name: str) -> str:
    """Return the model card, Markdown with the head that the Hugging Face Hub reads."""
    from jaxnext.version import __version__

    meta, (height, width) = net.meta, net.pixels.size
    accuracy = "none on record"
    if meta.val_accuracy is not None:
        accuracy = f"{meta.val_accuracy:.2%} on the validation images, after epoch {meta.epoch}"
    data = meta.config.data.path or meta.config.data.source.type
    pads = "; timm pads with another colour than black" if net.pixels.resize == "pad" else ""
    return f"""---
tags:
- image-classification
- timm
pipeline_tag: image-classification
library_name: timm
license: unknown
---
# {name}, {len(net.classes)} classes

A {name}, trained with jaxnext {__version__}.

- Data: {Path(data).name if isinstance(data, str) else "several folders"}; {len(net.classes)} classes, \
named in config.json in the order of the outputs
- Accuracy: {accuracy}
- Images: {height}x{width} pixels, {net.pixels.resize}, bilinear with antialiasing{pads}
- Licence: unknown; that of the data and of the weights that training began with may matter

```python
import timm

model = timm.create_model("local-dir:FOLDER", pretrained=True).eval()
transform = timm.data.create_transform(**timm.data.resolve_model_data_config(model))
model = timm.create_model("{name}", checkpoint_path="FOLDER/{WEIGHTS}", num_classes={len(net.classes)})  # or so
```
"""
