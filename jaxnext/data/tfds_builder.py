"""Finding a prepared data set of TensorFlow Datasets, in its own folder or by its name, without TensorFlow.

Folders are paths of ``etils.epath``, TFDS's own, so that they may be in a bucket; the records are read by
``array_record``, which knows local files and ``gs://``. ``tensorflow_datasets`` takes a second to import, so that only
the functions do.
"""

import contextlib
import difflib
import os
import re
from collections.abc import Iterator
from typing import Any

from jaxnext.data.compat import prepared_by_name
from jaxnext.data.image_source import some
from jaxnext.errors import JaxnextError, UsageError, one_line

INFO = "dataset_info.json"
"""the file that makes a folder a prepared data set"""
_LEVELS = 3
"""Of folders between TFDS's own and that of a data set: name, config, version."""


def open_folder(folder: str) -> Any:
    """The builder of the one prepared data set in a folder, or up to three levels below it.

    Raises:
        JaxnextError: the folder is missing or holds none, or several; its metadata cannot be read.
    """
    check_place(folder)
    with _reachable(folder):
        if not _path(folder).is_dir():
            raise JaxnextError(
                f"data.path {folder}: no such folder; give that of a prepared TFDS data set with --data.path FOLDER"
            )
        found = sorted(_prepared(folder, _LEVELS))
    if len(found) != 1:
        what = f"{len(found)}: {some(found)}" if found else "none"
        raise JaxnextError(
            f"data.path {folder}: expected the folder of one prepared TFDS data set, with a {INFO}, found {what}"
        )
    return _builder(found[0])


def open_name(name: str, data_dir: str) -> Any:
    """The builder of a prepared data set by its name, as TFDS spells it: ``NAME``, ``NAME/CONFIG``, ``NAME:VERSION``.

    Args:
        name: that name, without ``tfds:``.
        data_dir: the folder that holds a folder for each data set.

    Raises:
        UsageError: no data set can have such a name.
        JaxnextError: TFDS does not know the data set, it is not prepared in ``data_dir``, or cannot be read.
    """
    match = re.fullmatch(r"(\w+)(/[\w.+-]+)?(:[\d.*]+)?", name)
    if match is None:
        raise UsageError(f"data.source.name: expected NAME, NAME/CONFIG or NAME:VERSION, found {name!r}")
    check_place(data_dir)
    try:
        builder = prepared_by_name(name, data_dir)
    except Exception as error:
        raise JaxnextError(f"tfds:{name}: the data set in {data_dir} cannot be read ({one_line(error)})") from error
    if builder is not None:
        return builder
    plain = match[1]
    with _reachable(data_dir):
        here = sorted(_prepared(f"{data_dir}/{plain}", _LEVELS - 1))
    if here:
        raise JaxnextError(
            f"tfds:{name}: not among the data sets prepared in {data_dir}, which are {some(list(map(_spelled, here)))}"
        )
    with _reachable(data_dir):
        known = _known(data_dir)
    if plain not in known:
        near = difflib.get_close_matches(plain, known, n=3)
        help_ = f"did you mean {', '.join(near)}?" if near else "no name is like it"
        raise JaxnextError(f"tfds:{name}: TFDS has no data set of this name, and {data_dir} holds none; {help_}")
    raise JaxnextError(
        f"tfds:{name}: not prepared in {data_dir}; TFDS needs TensorFlow to prepare it: where that is installed, run "
        f"tfds build {name} --file_format=array_record --data_dir={data_dir}"
    )


def check_place(folder: str) -> None:
    """Refuses places that ``array_record`` would take for empty files.

    Raises:
        UsageError: neither local nor ``gs://``.
    """
    scheme, found, _ = folder.partition("://")
    if found and scheme != "gs":
        raise UsageError(
            f"data.path: expected a local folder or one in a bucket, gs://..., which array_record reads, found {folder}"
        )


def _path(folder: str) -> Any:
    from etils import epath

    return epath.Path(folder)


@contextlib.contextmanager
def _reachable(folder: str) -> Iterator[None]:
    """Says in one sentence what a bucket's file system raises, which may be anything."""
    try:
        yield
    except JaxnextError:
        raise
    except Exception as error:
        raise JaxnextError(f"data.path {folder}: the folder cannot be read ({one_line(error)})") from error


def _prepared(folder: str, levels: int) -> Iterator[str]:
    """Folders of prepared data sets: ``folder`` itself, or some down to so many levels below."""
    try:
        entries = list(_path(folder).iterdir())
    except OSError:
        return
    if any(entry.name == INFO for entry in entries):
        yield folder
    elif levels:
        for entry in entries:
            # Those that TFDS is at work on begin with incomplete.
            if not entry.name.startswith((".", "incomplete.")) and entry.is_dir():
                yield from _prepared(str(entry), levels - 1)


def _builder(folder: str) -> Any:
    import tensorflow_datasets as tfds

    try:
        return tfds.builder_from_directory(folder)
    except Exception as error:
        raise JaxnextError(f"{folder}: the data set's metadata cannot be read ({one_line(error)})") from error


def _spelled(folder: str) -> str:
    """The name of a data set by its folder, as TFDS spells it: NAME/CONFIG:VERSION."""
    parts = folder.replace(os.sep, "/").split("/")
    start = max(len(parts) - _LEVELS, 0)
    config = parts[start:-1] if _has_config(folder) else parts[-2:-1]
    return f"{'/'.join(config)}:{parts[-1]}"


def _has_config(folder: str) -> bool:
    builder = _builder(folder)
    return builder.builder_config is not None


def _known(data_dir: str) -> list[str]:
    """Names that TFDS knows, and those of the folders in ``data_dir``."""
    import tensorflow_datasets as tfds

    names = set(tfds.list_builders(with_community_datasets=False))
    try:
        own = {entry.name for entry in _path(data_dir).iterdir() if any(_prepared(str(entry), _LEVELS - 1))}
    except OSError:
        own = set()
    return sorted(names | own)
