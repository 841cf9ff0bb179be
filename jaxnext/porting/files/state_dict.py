"""Tensors from the files that others wrote: ``.pth`` and ``.pt`` of PyTorch in both formats, and ``.safetensors``."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np

from jaxnext.errors import JaxnextError
from jaxnext.porting.files.pickle_names import RefusedGlobalError
from jaxnext.porting.files.safetensors_file import is_cut_safetensors, is_safetensors, read_safetensors
from jaxnext.porting.files.torch_file import OLD_PROTOCOLS, is_legacy, old_protocol, read_legacy, read_zip, tensor_array
from jaxnext.porting.files.wrappers import choose, resave_line

PREFIXES: Final = ("module.", "_orig_mod.", "model.")
"""What DataParallel, ``torch.compile`` and wrapping modules put before every name."""

AVERAGING_COUNTER: Final = "n_averaged"
"""Counter of ``torch.optim.swa_utils.AveragedModel``, beside the tensors that it prefixes with ``module.``"""

MAX_TENSORS: Final = 50_000
"""A state dict with more is refused; a large model's has some thousand."""


def load_state_dict(path: Path, say: Callable[[str], None] = lambda line: None) -> dict[str, np.ndarray]:
    """Read the tensors of a state dict, without PyTorch and without executing anything that the file contains.

    The format is told by the file's content. The state dict may be the saved object itself or lie under one of
    ``wrappers.WRAPPERS``; those of ``PREFIXES`` that every name has are taken off. What is not a tensor is left out.

    Args:
        path: the file.
        say: shows a line to the user, where tensors are passed over.

    Returns:
        Arrays by PyTorch's names, in the file's order, dtypes (bfloat16 as ``ml_dtypes.bfloat16``) and shapes. They are
        read-only views of the file's bytes.

    Raises:
        JaxnextError: the file cannot be read, is malformed, names anything but tensors and plain data, or holds no
            tensors or two state dicts of which neither comes first.
    """
    try:
        if not path.is_file():
            raise JaxnextError("no such file" if not path.exists() else "not a file")
        tensors, note = _tensors(path.read_bytes())
    except RefusedGlobalError as error:
        raise JaxnextError(
            f"{path}: refused, since {error}; if you trust the file, this line of PyTorch saves its tensors alone: "
            f"{resave_line(path)}"
        ) from None
    except JaxnextError as error:
        raise JaxnextError(f"{path}: {error}") from None
    except (OSError, ValueError) as error:  # ValueError: a path with a null byte
        raise JaxnextError(f"{path!s}: cannot be read ({error})") from None
    if note:
        say(f"{path}: {note}")
    return without_prefixes(tensors)


def without_prefixes(tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
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


def _tensors(data: bytes) -> tuple[dict[str, np.ndarray], str]:
    """Return the tensors of a file, and what is said of those that were passed over."""
    if data[:4] == b"PK\x03\x04":
        value, storage_bytes = read_zip(data)
    elif is_safetensors(data):
        arrays = read_safetensors(data)
        if not arrays:
            raise JaxnextError("it holds no tensors; its safetensors header is empty")
        return arrays, ""
    elif is_legacy(data):
        value, storage_bytes = read_legacy(data)
    elif data.startswith(OLD_PROTOCOLS):
        old_protocol()
    elif is_cut_safetensors(data):
        raise JaxnextError("it is a .safetensors file that is cut short within its header")
    else:
        raise JaxnextError(
            "it is neither a .pth or .pt file of torch.save nor a .safetensors file; "
            + (f"it begins with {bytes(data[:16])!a}" if data else "it is empty")
        )
    arrays = {}
    tensors, note = choose(value)
    if len(tensors) > MAX_TENSORS:
        raise JaxnextError(f"it holds more than {MAX_TENSORS:,} tensors")
    for name, tensor in tensors.items():
        try:
            arrays[name] = tensor_array(tensor, storage_bytes, limit=len(data))
        except JaxnextError as error:
            raise JaxnextError(f"the tensor {name!a} cannot be read: {error}") from None
    return arrays, note
