"""Versions and commit, which a run writes down."""

import importlib.metadata
import platform
import subprocess
from pathlib import Path
from typing import Any

from jaxnext.version import __version__

_PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "grain", "numpy", "pillow", "simplejpeg")


def versions(checkout: Path) -> dict[str, Any]:
    """Return versions of Python and of the packages that decide a result, and the commit; None for what is unknown.

    Args:
        checkout: Folder of the project. The commit ends in ``-dirty`` where tracked files differ from it.
    """
    return (
        {"python": platform.python_version(), "jaxnext": __version__}
        | {name: _version(name) for name in _PACKAGES}
        | {"commit": _commit(checkout)}
    )


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _commit(checkout: Path) -> str | None:
    if not (checkout / ".git").exists():
        return None  # git would look further up and find the repository of somebody else
    command = ["git", "-C", str(checkout), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
