"""What the processes of a run must have found alike before they train together."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxnext.config.mapping import flat
from jaxnext.config.sections import Config
from jaxnext.training.processes import Fingerprint

FREE_IN_A_PROCESS = ("workers", "data.cache", "data.cache_path")
"""Settings that may differ between the processes of a run."""


def fingerprints(
    config: Config,
    output: Path,
    versions: Mapping[str, Any],
    checkpoint: int | None,
    data: Mapping[str, Any],
    classes: tuple[str, ...],
    state: Any,
) -> list[Fingerprint]:
    """Return what is compared, the likeliest causes first.

    Args:
        config: of the run.
        output: its folder.
        versions: of packages; the commit is not compared, for it is unknown outside a checkout.
        checkpoint: number of the newest one, which is the position in the run.
        data: what the data is known by.
        classes: names of the outputs.
        state: arrays that training starts from.
    """
    packages = {name: str(version) for name, version in versions.items() if name != "commit"}
    values = {key: repr(value) for key, value in flat(config).items() if key not in FREE_IN_A_PROCESS}
    options, images = "give all processes the same options", "all processes must see the same images"
    return [
        *(
            Fingerprint(f"the version of {name}", value, "install the same everywhere")
            for name, value in packages.items()
        ),
        *(Fingerprint(key, value, options) for key, value in values.items()),
        Fingerprint(
            "the newest checkpoint",
            "none" if checkpoint is None else f"number {checkpoint}",
            f"all processes must see the same folder {output}",
        ),
        *(Fingerprint(f"the data, {name}", str(value), images) for name, value in data.items()),
        Fingerprint("the class names", f"{len(classes)} with the digest {digest(list(classes))}", images),
        Fingerprint(
            "the weights",
            f"those with the digest {digest(state)}",
            "all processes must see the same model.weights and checkpoints, and run on machines of the same kind",
        ),
    ]


def digest(tree: Any) -> str:
    """Return a short text that is the same for trees of the same arrays or texts, to the bit."""
    found = hashlib.sha256()
    for path, leaf in jax.tree.leaves_with_path(tree):
        array = np.asarray(leaf)
        found.update(f"{jax.tree_util.keystr(path)} {array.dtype} {array.shape} ".encode())
        found.update(array.tobytes())
    return found.hexdigest()[:16]
