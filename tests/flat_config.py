"""Configs of tests in one flat list of fields, so that a net is described in a line."""

from typing import Any

from jaxnext.config.mapping import build
from jaxnext.config.sections import ModelConfig

_ATTENTION = {"reduction": "reduction", "kernel_size": "kernel_size"}
_HEAD = {"head_widths": "widths", "dropout": "dropout"}


def model_config(attention: str = "none", head: str = "linear", **fields: Any) -> ModelConfig:
    """The ``model`` section; fields of an attention or a head that is not chosen are passed over."""
    chosen = {"attention": {"type": attention}, "head": {"type": head}}
    for part, names in (("attention", _ATTENTION), ("head", _HEAD)):
        values = {new: fields.pop(old) for old, new in names.items() if old in fields}
        if chosen[part]["type"] in ("cbam", "fc"):
            chosen[part] |= values
    return build({"model": {**fields, **chosen}}).model
