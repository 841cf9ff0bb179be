"""Tensors from the files that others wrote: ``.pth`` and ``.pt`` of PyTorch in all formats, and ``.safetensors``."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

import numpy as np

from jaxnext.errors import JaxnextError
from jaxnext.porting.files.candidates import Candidate, Described, candidates
from jaxnext.porting.files.exported_program import is_exported, read_exported
from jaxnext.porting.files.modules import Budget
from jaxnext.porting.files.pickle_names import Unread, shown
from jaxnext.porting.files.safetensors_file import is_cut_safetensors, is_safetensors, read_safetensors
from jaxnext.porting.files.safetensors_index import is_index, read_index
from jaxnext.porting.files.torch_file import (
    OLD_PROTOCOLS,
    Saved,
    StorageBytes,
    is_legacy,
    no_storages,
    old_protocol,
    read_legacy,
    read_zip,
    tensor_array,
)
from jaxnext.porting.files.wrappers import choose, resave_line
from jaxnext.porting.files.zip_directory import read_directory

PREFIXES: Final = ("module.", "_orig_mod.", "model.")
"""What DataParallel, ``torch.compile`` and wrapping modules put before every name."""

AVERAGING_COUNTER: Final = "n_averaged"
"""Counter of ``torch.optim.swa_utils.AveragedModel``, beside the tensors that it prefixes with ``module.``"""

MAX_TENSORS: Final = 50_000
"""A state dict with more is refused; a large model's has some thousand."""

_SHOWN: Final = 12
_T = TypeVar("_T")


class WeightFile(NamedTuple):
    """What a file holds, before anything is chosen."""

    path: Path
    candidates: list[Candidate]
    unknown: tuple[str, ...]
    """names of objects that nothing is made of"""
    storage_bytes: StorageBytes
    size: int
    """bytes of the file"""
    pickle_size: int

    def budget(self) -> Budget:
        """Return what may be spent on the names of one look at its candidates."""
        return Budget(self.pickle_size)

    def aside(self) -> str | None:
        """Return the line that names the objects that nothing is made of; ``None`` where there are none."""
        names = [shown(name) for name in self.unknown[:_SHOWN]]
        more = f" and {len(self.unknown) - _SHOWN:,} more" if len(self.unknown) > _SHOWN else ""
        return f"{self.path}: left aside, neither imported nor called: {', '.join(names)}{more}" if names else None

    def check(self, tensors: Mapping[str, Described]) -> None:
        """Refuse tensors that are not read.

        Raises:
            JaxnextError: there are more than ``MAX_TENSORS``, or one needs what is not called to be rebuilt. The
                message names the file.
        """
        if len(tensors) > MAX_TENSORS:
            raise JaxnextError(f"{self.path}: it holds more than {MAX_TENSORS:,} tensors")
        unread = {name: tensor.name for name, tensor in tensors.items() if isinstance(tensor, Unread)}
        if unread:
            name, needed = next(iter(unread.items()))
            others = f" (and {len(unread) - 1:,} more)" if len(unread) > 1 else ""
            raise JaxnextError(
                f"{self.path}: refused, since the tensor {name!a}{others} needs {shown(needed)}, which is neither read "
                "nor called; if you trust the file, this line of PyTorch saves its readable tensors alone: "
                f"{resave_line(self.path)}"
            )

    def arrays(self, tensors: Mapping[str, Described]) -> dict[str, np.ndarray]:
        """Return the values of some of its tensors, as read-only views of the file's bytes.

        Raises:
            JaxnextError: as ``check``; or one is damaged.
        """
        self.check(tensors)
        return {name: self._array(name, tensor) for name, tensor in tensors.items()}

    def _array(self, name: str, tensor: Described) -> np.ndarray:
        if isinstance(tensor, np.ndarray):
            return tensor
        assert not isinstance(tensor, Unread)
        try:
            return tensor_array(tensor, self.storage_bytes, limit=self.size)
        except JaxnextError as error:
            raise JaxnextError(f"{self.path}: the tensor {name!a} cannot be read: {error}") from None


def read_weights(path: Path) -> WeightFile:
    """Read what a file holds, without PyTorch and without executing anything in it.

    The format is told by the file's content: both of ``torch.save``, ``torch.jit.save``, ``torch.export.save``,
    safetensors, and the index of safetensors in several files.

    Raises:
        JaxnextError: the file cannot be read or is malformed. The message names it.
    """
    try:
        if not path.is_file():
            raise JaxnextError("no such file" if not path.exists() else "not a file")
        data = path.read_bytes()
        if is_index(data):
            arrays, size = read_index(data, path.parent)
            return WeightFile(path, candidates(dict(arrays)), (), no_storages, size, len(data))
        saved = _saved(data)
        return WeightFile(path, candidates(saved.value), saved.unknown, saved.storage_bytes, len(data), saved.size)
    except JaxnextError as error:
        raise JaxnextError(f"{path}: {error}") from None
    except (OSError, ValueError) as error:  # ValueError: a path with a null byte
        raise JaxnextError(f"{path!s}: cannot be read ({error})") from None


def load_state_dict(path: Path, say: Callable[[str], None] = lambda line: None) -> dict[str, np.ndarray]:
    """Read the tensors of a state dict where no net says which, as ``wrappers.choose`` chooses it.

    Those of ``PREFIXES`` that every name has are taken off. What is not a tensor is left out.

    Args:
        path: the file.
        say: shows a line to the user, where anything is passed over.

    Returns:
        Arrays by PyTorch's names, in the file's order, dtypes (bfloat16 as ``ml_dtypes.bfloat16``) and shapes. They are
        read-only views of the file's bytes.

    Raises:
        JaxnextError: as ``read_weights``; or the file holds no tensors, or several state dicts of which none comes
            first, or tensors that are not read.
    """
    file = read_weights(path)
    try:
        tensors, note = choose(file.candidates, file.budget())
    except JaxnextError as error:
        raise JaxnextError(f"{path}: {error}") from None
    if not tensors:
        raise JaxnextError(f"{path}: it holds no tensors")
    arrays = file.arrays(tensors)
    for line in (file.aside(), f"{path}: {note}" if note else None):
        if line:
            say(line)
    return without_prefixes(arrays)


def without_prefixes(tensors: dict[str, _T]) -> dict[str, _T]:
    """Take ``PREFIXES`` off, again and again, as long as every name has the same one.

    ``AVERAGING_COUNTER`` alone may stand beside names that have ``module.``.
    """
    names = [name for name in tensors if name != AVERAGING_COUNTER]
    # What the first and the last in order begin with, all do: no name is copied for each prefix, however many it has.
    first, last = min(names, default=""), max(names, default="")
    shortest = min(map(len, names), default=0)
    allowed = ("module.",) if AVERAGING_COUNTER in tensors else PREFIXES
    start = 0

    def is_shared(prefix: str) -> bool:
        return start + len(prefix) < shortest and first.startswith(prefix, start) and last.startswith(prefix, start)

    while prefix := next((p for p in allowed if is_shared(p)), None):
        start += len(prefix)
        allowed = PREFIXES
    stripped = {name if name == AVERAGING_COUNTER else name[start:]: array for name, array in tensors.items()}
    # An averaged average's inner counter would take the place of the outer one.
    return stripped if len(stripped) == len(tensors) else tensors


def _saved(data: bytes) -> Saved:
    """Return the object of a file of any format but an index."""
    if data[:4] == b"PK\x03\x04":
        members = read_directory(data)
        return read_exported(data, members) if is_exported(members) else read_zip(data, members)
    if is_safetensors(data):
        arrays = read_safetensors(data)
        if not arrays:
            raise JaxnextError("it holds no tensors; its safetensors header is empty")
        return Saved(arrays, no_storages, 0, ())
    if is_legacy(data):
        return read_legacy(data)
    if data.startswith(OLD_PROTOCOLS):
        old_protocol()
    if is_cut_safetensors(data):
        raise JaxnextError("it is a .safetensors file that is cut short within its header")
    if data[:1] == b"\x80" and data[-1:] == b".":
        raise JaxnextError(
            "it is a pickle of Python and not a file of torch.save; if you trust it, this line saves it as one: "
            "import pickle, torch; torch.save(pickle.load(open(IN, 'rb')), OUT)"
        )
    raise JaxnextError(
        "it is neither a .pth or .pt file of torch.save nor a .safetensors file; "
        + (f"it begins with {bytes(data[:16])!a}" if data else "it is empty")
    )
