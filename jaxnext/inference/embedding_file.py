"""Embeddings of many images into a file, a batch at a time: ``.npz``, which NumPy reads, or ``.parquet``."""

import contextlib
import importlib
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from jaxnext.atomic import whole_file
from jaxnext.errors import UsageError, one_line

SUFFIXES = (".npz", ".parquet")
_GROUP = 4096
"""Rows that a Parquet file has together."""

Add = Callable[[Sequence[str], NDArray[np.floating]], None]
"""Takes the names of some images, and their embeddings ``[n, C]``."""


def check_embedding_file(path: Path) -> None:
    """Refuse a file that could not be written.

    Raises:
        UsageError: another ending than those of ``SUFFIXES``, or ``.parquet`` without the library for it.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise UsageError(f"--embeddings: expected a file that ends in .npz or .parquet, found {path}")
    if path.suffix.lower() == ".parquet":
        _pyarrow("parquet")


@contextlib.contextmanager
def embedding_file(path: Path) -> Iterator[Add]:
    """Give the function that adds rows to a file, which appears when the block ends well.

    A ``.npz`` has ``names``, texts ``[n]``, and ``embeddings``, float32 ``[n, C]``; a ``.parquet`` the columns ``name``
    and ``embedding``.

    Args:
        path: of the file, as ``check_embedding_file`` wants it.

    Raises:
        JaxnextError: it cannot be written.
    """
    with whole_file(path, "wb") as file, (_parquet if path.suffix.lower() == ".parquet" else _npz)(file, path) as add:
        yield add


@contextlib.contextmanager
def _npz(file: Any, path: Path) -> Iterator[Add]:
    names: list[str] = []
    width = 0
    # How many rows there are stands before them, and is known after them.
    with tempfile.TemporaryFile(dir=path.parent) as rows:

        def add(more: Sequence[str], values: NDArray[np.floating]) -> None:
            nonlocal width
            names.extend(more)
            width = values.shape[1]
            rows.write(np.ascontiguousarray(values, "<f4").tobytes())

        yield add
        rows.seek(0)
        with zipfile.ZipFile(file, "w", allowZip64=True) as archive:
            with archive.open("names.npy", "w", force_zip64=True) as entry:
                npy.write_array(entry, np.array(names, np.str_), allow_pickle=False)
            with archive.open("embeddings.npy", "w", force_zip64=True) as entry:
                head = {"descr": "<f4", "fortran_order": False, "shape": (len(names), width)}
                npy.write_array_header_1_0(entry, head)
                while block := rows.read(2**20):
                    entry.write(block)


@contextlib.contextmanager
def _parquet(file: Any, path: Path) -> Iterator[Add]:
    arrow, parquet = _pyarrow(), _pyarrow("parquet")
    waiting: list[tuple[Sequence[str], NDArray[np.floating]]] = []
    with contextlib.ExitStack() as stack:
        writer: Any = None

        def flush() -> None:
            nonlocal writer
            names = [name for some, _ in waiting for name in some]
            values = np.concatenate([values for _, values in waiting]).astype(np.float32)
            kind = arrow.list_(arrow.float32(), values.shape[1])
            column = arrow.FixedSizeListArray.from_arrays(arrow.array(values.ravel()), type=kind)
            table = arrow.table({"name": arrow.array(names, arrow.string()), "embedding": column})
            writer = writer or stack.enter_context(parquet.ParquetWriter(file, table.schema))
            writer.write_table(table)
            waiting.clear()

        def add(names: Sequence[str], values: NDArray[np.floating]) -> None:
            waiting.append((names, values))
            if sum(len(some) for some, _ in waiting) >= _GROUP:
                flush()

        yield add
        if waiting or writer is None:
            waiting.append(([], np.zeros((0, waiting[0][1].shape[1] if waiting else 1), np.float32)))
            flush()


def _pyarrow(module: str = "") -> Any:
    try:
        # By its name, for where it is not installed, its types are unknown, too.
        return importlib.import_module(f"pyarrow.{module}" if module else "pyarrow")
    except ImportError as error:
        raise UsageError(
            "--embeddings: expected the library pyarrow for .parquet, found that it is not installed; pip install "
            f"'jaxnext[parquet]', or write .npz ({one_line(error)})"
        ) from error
