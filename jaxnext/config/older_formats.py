"""Configs as earlier versions wrote them, in files and in checkpoints.

Before the choices by ``type``:

plateau: {...}                                   schedule: {type: plateau, ...}
augment: {...}                                   augment: [{type: original, ...}]
model: {attention: cbam, reduction: 16,          model: {attention: {type: cbam, reduction: 16, ...}}
        attention_options: {...}}
model: {head: fc, head_widths: [...],            model: {head: {type: fc, widths: [...], ...}}
        dropout: 0.3, head_options: {...}}
data: {source: "tfds:NAME", train_split: ...}    data: {source: {type: tfds, name: NAME, train_split: ...}}

Before checkpoints within epochs:

checkpoint_every: 5                              checkpoint: {every_epochs: 5}
"""

from collections.abc import Mapping
from typing import Any

from jaxnext.config.sections import ATTENTIONS, HEADS, SOURCES

RENAMED = {
    "checkpoint_every": "checkpoint.every_epochs",
    "plateau": "schedule",
    "augment": "augment.original",
    "model.reduction": "model.attention.reduction",
    "model.head_widths": "model.head.widths",
    "model.dropout": "model.head.dropout",
    "data.train_split": "data.source.train_split",
    "data.val_split": "data.source.val_split",
}
"""Where settings stand now; for the sentence that refuses an old one on the command line."""


_AS_STORED = {"orientation": "stored", "depth": "clip", "background": "ignore"}


def upgrade_written(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the mapping of a config that a run or a port has written, so that it means what it meant then.

    Such a config has every setting. One without those of the pixels is of a version that took images as they are
    stored, clipped them to 8 bits and dropped transparency; its network goes on seeing what it was trained on.
    """
    new = upgrade(values)
    if isinstance(new.get("data", {}), Mapping):
        new["data"] = _AS_STORED | dict(new.get("data", {}))
    return new


def upgrade(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the mapping of a config with the old settings, if it has any, where they stand now.

    Settings that had no effect on what was chosen (``head_widths`` beside a linear head) are left out.
    """
    new = dict(values)
    if "checkpoint_every" in new and isinstance(new.get("checkpoint", {}), Mapping):
        new["checkpoint"] = {"every_epochs": new.pop("checkpoint_every")} | dict(new.get("checkpoint", {}))
    if isinstance(new.get("plateau"), Mapping) and "schedule" not in new:
        new["schedule"] = {"type": "plateau", **new.pop("plateau")}
    augment = new.get("augment")
    if isinstance(augment, Mapping) and "type" not in augment:
        new["augment"] = [{"type": "original", **augment}]
    if isinstance(new.get("model"), Mapping):
        new["model"] = _model(new["model"])
    if isinstance(new.get("data"), Mapping):
        new["data"] = _data(new["data"])
    return new


def _model(section: Mapping[str, Any]) -> dict[str, Any]:
    section = dict(section)
    for alternatives, name, default, moved in (
        (ATTENTIONS, "attention", "none", {"reduction": "reduction"}),
        (HEADS, "head", "linear", {"head_widths": "widths", "dropout": "dropout"}),
    ):
        old = [key for key in (*moved, f"{name}_options") if key in section]
        chosen = section.get(name, default)
        if not old or not isinstance(chosen, str) or chosen not in alternatives.names():
            continue
        known = alternatives.options(chosen)
        values = {new: section.pop(key) for key, new in moved.items() if key in section}
        values = {key: value for key, value in values.items() if key in known} | dict(
            section.pop(f"{name}_options", {})
        )
        section[name] = {"type": chosen, **values}
    return section


def _data(section: Mapping[str, Any]) -> dict[str, Any]:
    section = dict(section)
    source = section.get("source", "folder")
    if not isinstance(source, str):
        return section
    kind, _, name = source.partition(":")
    splits = {key: section.pop(key) for key in ("train_split", "val_split") if key in section}
    if kind in SOURCES.names() and (splits or name):
        known = SOURCES.options(kind)
        splits = {key: value for key, value in splits.items() if key in known or value not in ("train", None)}
        section["source"] = {"type": kind, **({"name": name} if name else {}), **splits}
    return section
