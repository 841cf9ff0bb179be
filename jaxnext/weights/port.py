"""PyTorch weights to a checkpoint: the file that orders the side effects of ``port_weights.py``."""

import itertools
import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxnext.atomic import whole_folder
from jaxnext.config.packaged import configs_folder
from jaxnext.config.sections import Config, ModelConfig
from jaxnext.config.yaml_text import dump_config, load_config
from jaxnext.data.class_names import check_names
from jaxnext.data.listing import list_folder
from jaxnext.engine.checkpoint import Checkpoints, Meta
from jaxnext.engine.network import network
from jaxnext.engine.run_folder import CONFIG, check_new, write_text
from jaxnext.errors import JaxnextError, UsageError
from jaxnext.models.heads.fc import ACTIVATIONS
from jaxnext.models.summary import check_size, summary, variable_shapes
from jaxnext.porting.merge import LINEAR_HEAD, Merged, merge, source_classes
from jaxnext.porting.named import WEIGHTS
from jaxnext.porting.net_weights import HeadSetting, net_weights
from jaxnext.porting.pretrained import fetch
from jaxnext.porting.torchvision import torch_shape, weight_map
from jaxnext.text_lines import read_lines
from jaxnext.tree import PARTS, differences, flatten, unflatten
from jaxnext.types import LeafPath

IMAGENET_CLASSES = 1000
FILE_EXTENSIONS = (".pth", ".pt", ".pt2", ".safetensors", ".json", ".bin", ".ckpt", ".tar")


def port_weights(
    source: str,
    config: Config,
    output: Path,
    classes: Path | None,
    *,
    key: str | None = None,
    head: bool = True,
    words: Sequence[str],
    command: str = "jaxnext port",
    cache: Path | None,
    say: Callable[[str], None],
    warn: Callable[[str], None],
    base_url: str | None = None,
) -> Meta:
    """Write a checkpoint with the weights of a PyTorch state dict. The folder appears whole or not at all.

    A linear head of 1000 classes is taken for ImageNet's and left out, unless ``classes`` or ``model.classes`` asks for
    it: the backbone then serves any setting, and training initialises the rest.

    Args:
        source: a file, or the name of weights to download.
        config: describes the network.
        output: folder that receives the checkpoint.
        classes: text file with a class name a line, or a folder of class folders; ``None``: indices.
        key: chooses one of several state dicts of the file, as the error lists them.
        head: whether the file's head is ported, where it has one.
        words: the options without ``--output``, for the command that a warning shows.
        command: that ports weights, before its options.
        cache: folder for downloads; ``None``: unknown.
        say: shows a line to the user.
        warn: the same, for a warning.
        base_url: of the downloads, instead of their own.

    Returns:
        what the checkpoint says of itself.

    Raises:
        JaxnextError: the source cannot be had or read, does not fit, or the class names do not.
    """
    check_new(output)
    names = None if classes is None else read_classes(classes)
    check_architecture(source, config)
    file = locate(source, cache, base_url)
    shapes = variable_shapes(network(config.model, 1, config.precision))
    setting = head_setting(config.model)
    tensors, layers = net_weights(file, backbone_shapes(shapes), setting, key=key, head=head, say=say)
    count = head_size(tensors, source, names, config) if head else None
    if count is not None and layers:
        raise JaxnextError(
            f"{source}: beside the net it has {', '.join(layers[:5])}{' and more' if len(layers) > 5 else ''}, which "
            "may stand between its backbone and its head; --head none ports the backbone alone"
        )
    if count is not None:
        shapes = variable_shapes(network(config.model, count, config.precision))
        check_size(shapes["params"], config.model.max_parameters)
    target = {path: (leaf.shape, np.dtype(leaf.dtype)) for path, leaf in flatten(shapes).items()}
    merged = merge(target, tensors, name=source, require_head=count is not None)
    for line in [*describe(merged, source), *rounding(tensors, merged, source)]:
        say(line)
    variables = unflatten({path: leaf for path, leaf in merged.filled.items() if path[1] in merged.parts})
    say(summary(variables["params"]))
    if "head" in merged.parts and names is None:
        names = tuple(str(i) for i in range(count or 0))
        again = shlex.join([*words, "--output", str(free_name(output))])
        warn(
            f"warning: the classes of {source} have no names and are called 0 to {len(names) - 1}; name them with: "
            f"{command} {again} --classes FILE_OR_FOLDER"
        )
    meta = Meta(config, names if "head" in merged.parts else None, merged.parts)
    _write(output, variables, meta)
    say(f"{output}: written")
    return meta


def backbone_shapes(shapes: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Return PyTorch's names and shapes of a net's backbone, without counters.

    Args:
        shapes: of its variables.
    """
    leaves = {path: leaf for path, leaf in flatten(shapes).items() if path[1] == "backbone"}
    return {
        entry.source: torch_shape(entry.transform, tuple(leaves[path].shape))
        for path, entry in weight_map(leaves).items()
        if entry.transform != "counter"
    }


def head_setting(model: ModelConfig) -> HeadSetting:
    """Return what the config says of its head; of one that is not ``fc`` that it has no hidden layers."""
    options = model.head.options if model.head.type == "fc" else {}
    return HeadSetting(
        tuple(options.get("widths", ())),
        options.get("batch_norm", True),
        options.get("activation", ""),
        tuple(ACTIVATIONS),
    )


def check_architecture(source: str, config: Config) -> None:
    """Refuse, before they are downloaded, named weights that are of another network than the config's.

    Raises:
        UsageError: names the first leaf of the backbone in which the two differ.
    """
    if source not in WEIGHTS or Path(source).exists():
        return
    name = WEIGHTS[source].config
    named = load_config(configs_folder() / f"{name}.yaml")
    wanted, found = (_backbone_shapes(model) for model in (named.model, config.model))
    if differing := differences(wanted, found):
        raise UsageError(
            f"{source}: the weights are those of --config {name}, and the config describes another network: "
            f"{differing[0]}; choose that --config, or give a file with weights of this network"
        )


def _backbone_shapes(model: ModelConfig) -> dict[LeafPath, Any]:
    leaves = flatten(variable_shapes(network(model, 1, "float32")))
    return {path: leaf for path, leaf in leaves.items() if path[1] == "backbone"}


def locate(source: str, cache: Path | None, base_url: str | None) -> Path:
    """Return the file of a source: a path, or a name that is downloaded into the cache."""
    path = Path(source)
    if path.exists():
        return path
    if path.suffix in FILE_EXTENSIONS or len(path.parts) > 1:
        raise JaxnextError(f"{source}: no such file")
    if cache is None:
        raise JaxnextError(
            f"{source}: the folder for downloads is unknown, since the user has no home folder; set XDG_CACHE_HOME"
        )
    return fetch(source, cache, base_url=base_url)


def read_classes(path: Path) -> tuple[str, ...]:
    """Read class names from a text file (a line each, in the order of the outputs) or a folder's folders, sorted.

    Raises:
        JaxnextError: nothing there, an empty line, a name that stands twice, names as ``check_names`` refuses them.
    """
    if path.is_dir():
        names = tuple(list_folder(path)[0])
        if not names:
            raise JaxnextError(f"--classes {path}: expected a folder for each class, found no folders")
        check_names(f"--classes {path}", names)
        return names
    try:
        names = tuple(read_lines(path))
    except (OSError, UnicodeDecodeError) as error:
        raise JaxnextError(f"--classes {path}: expected a text file with a class name a line, found {error}") from error
    if not names:
        raise JaxnextError(f"--classes {path}: expected a class name a line, found an empty file")
    seen: dict[str, int] = {}
    for line, name in enumerate(names, start=1):
        if not name.strip():
            raise JaxnextError(f"--classes {path}: expected a class name in line {line}, found an empty line")
        if name in seen:
            raise JaxnextError(
                f"--classes {path}: the name {name!r} stands in line {seen[name]} and again in line {line}"
            )
        seen[name] = line
    check_names(f"--classes {path}", names)
    return names


def head_size(tensors: dict[str, np.ndarray], source: str, names: tuple[str, ...] | None, config: Config) -> int | None:
    """Return the number of outputs of the head that is to be ported; ``None`` where none is.

    Raises:
        JaxnextError: class names were given and the source's head has another number of outputs, or there is no head.
    """
    found = source_classes(tensors)
    if names is not None:
        if found != len(names):
            head = "no head" if found is None else f"a head of {found}"
            raise JaxnextError(
                f"--classes: expected as many names as {source} has classes, found {len(names)} names and {head}"
            )
        return found
    if config.model.classes is not None and found is not None and found != config.model.classes:
        raise JaxnextError(
            f"model.classes: expected the {found} classes of the head of {source}, found {config.model.classes}"
        )
    is_imagenet = found == IMAGENET_CLASSES and LINEAR_HEAD[0] in tensors
    return None if is_imagenet and config.model.classes is None else found


def describe(merged: Merged, source: str) -> list[str]:
    """Return a line for each part of the network, and one for what was left out."""
    there = {path[1] for path in (*merged.filled, *merged.new)}
    lines = []
    for part in PARTS:
        if part in merged.parts:
            lines.append(f"{part}: from {source}")
        elif part in there:
            lines.append(f"{part}: not in the source; training initialises it")
    if merged.left_out:
        lines.append(f"left out: {', '.join(merged.left_out)}")
    if any(path[-1] == "num_batches_tracked" and path[1] in merged.parts for path in merged.new):
        lines.append("num_batches_tracked: not in the source; counted from 0")
    return lines


def rounding(tensors: dict[str, np.ndarray], merged: Merged, source: str) -> list[str]:
    """Return a line where values were rounded to the model's dtype, which has fewer digits than the source's."""
    entries = weight_map(merged.filled)
    pairs = [(tensors.get(entries[path].source), leaf) for path, leaf in merged.filled.items() if path in entries]
    rounded = [
        (array.dtype, leaf.dtype)
        for array, leaf in pairs
        if array is not None
        and array.dtype.kind == leaf.dtype.kind == "f"
        and array.dtype.itemsize > leaf.dtype.itemsize
        and not np.array_equal(array.astype(leaf.dtype), array)
    ]
    if not rounded:
        return []
    count = f"{len(rounded):,} tensor{'s' if len(rounded) > 1 else ''}"
    return [
        f"{count} of {source} rounded from {rounded[0][0]} to {rounded[0][1]}; --precision float64 keeps all digits"
    ]


def free_name(output: Path) -> Path:
    """Return a name beside ``output`` under which nothing lies."""
    numbers = itertools.chain([""], itertools.count(2))
    names = (output.with_name(f"{output.name}_named{number}") for number in numbers)
    return next(name for name in names if not name.exists())


def _write(output: Path, variables: dict, meta: Meta) -> None:
    with whole_folder(output, "the checkpoint") as folder:
        with Checkpoints(folder) as checkpoints:
            checkpoints.save_model("best", 0, variables, meta)
        write_text(folder / CONFIG, dump_config(meta.config))
