"""Where a command keeps things for its user from one start to the next."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jaxnext.training.environment import Folders

UNKNOWN_HOME = (
    "the user's home folder is unknown (HOME is not set, and the user has no entry in the password file); "
    "set XDG_CACHE_HOME to a folder for what is kept"
)


def cache_folder() -> Path:
    """Return where downloads and the like are kept: ``jaxnext`` in ``$XDG_CACHE_HOME``, by default ``~/.cache``.

    Raises:
        RuntimeError: the user's home is needed and unknown, as in some containers.
    """
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "jaxnext"
    except RuntimeError:
        raise RuntimeError(UNKNOWN_HOME) from None


def cache_folder_if_known() -> Path | None:
    """Return ``cache_folder()``, or ``None`` where it is unknown."""
    try:
        return cache_folder()
    except RuntimeError:
        return None


def tfds_folder() -> str | None:
    """Return where TensorFlow Datasets keeps its sets: ``$TFDS_DATA_DIR``, else ``~/tensorflow_datasets`` if known."""
    # Not a Path, which would take a slash out of gs://.
    if given := os.environ.get("TFDS_DATA_DIR"):
        return given
    try:
        return str(Path.home() / "tensorflow_datasets")
    except RuntimeError:
        return None


def folders() -> "Folders":
    """Return the folders of a run; those that need the user's home are ``None`` where it is unknown."""
    from jaxnext.training.environment import Folders

    cache = cache_folder_if_known()
    if cache is None:
        return Folders(tfds=tfds_folder())
    return Folders(index=cache / "index", decoded=cache / "decoded", tfds=tfds_folder())
