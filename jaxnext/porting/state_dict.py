"""Tensors from the files that others wrote: ``.pth`` and ``.pt`` of PyTorch in both formats, and ``.safetensors``."""

from pathlib import Path
from typing import Final

import numpy as np

from jaxnext.errors import JaxnextError
from jaxnext.porting.pickle_names import RefusedGlobalError, Tensor
from jaxnext.porting.safetensors_file import is_safetensors, read_safetensors
from jaxnext.porting.torch_file import is_legacy, read_legacy, read_zip, tensor_array

WRAPPERS: Final = ("state_dict", "model_state_dict", "model", "model_ema")
"""Keys under which training scripts keep the state dict; where a file has several, the first of this list is read."""

PREFIXES: Final = ("module.", "_orig_mod.", "model.")
"""What DataParallel, ``torch.compile`` and wrapping modules put before every name."""

AVERAGING_COUNTER: Final = "n_averaged"
"""Counter of ``torch.optim.swa_utils.AveragedModel``, beside the tensors that it prefixes with ``module.``"""

MAX_TENSORS: Final = 50_000
"""A state dict with more is refused; a large model's has some thousand."""

_MAX_WRAPPED: Final = 8


def load_state_dict(path: Path) -> dict[str, np.ndarray]:
    """Reads the tensors of a state dict, without PyTorch and without executing anything that the file contains.

    The format is told by the file's content. The state dict may be the saved object itself or lie under one of
    ``WRAPPERS``; those of ``PREFIXES`` that every name has are taken off. What is not a tensor is left out.

    Args:
        path: the file.

    Returns:
        Arrays by PyTorch's names, in the file's order, dtypes (bfloat16 as ``ml_dtypes.bfloat16``) and shapes. They are
        read-only views of the file's bytes.

    Raises:
        JaxnextError: the file cannot be read, is malformed, names anything but tensors and plain data, or holds no
            tensors.
    """
    try:
        if not path.is_file():
            raise JaxnextError("no such file" if not path.exists() else "not a file")
        tensors = _tensors(path.read_bytes())
    except RefusedGlobalError as error:
        raise JaxnextError(
            f"{path}: refused, since {error}; if you trust the file, this line of PyTorch saves its tensors alone: "
            f"{resave_line(path)}"
        ) from None
    except JaxnextError as error:
        raise JaxnextError(f"{path}: {error}") from None
    except (OSError, ValueError) as error:  # ValueError: a path with a null byte
        raise JaxnextError(f"{path!s}: cannot be read ({error})") from None
    return without_prefixes(tensors)


def resave_line(path: Path) -> str:
    """The line of PyTorch that saves the tensors of ``path`` alone, to ``<name>.tensors.pth`` beside it."""
    target = path.with_name(f"{path.stem}.tensors.pth")
    return (
        f"import torch; c = torch.load({str(path)!r}, map_location='cpu', weights_only=False); "
        f"c = next((c[k] for k in {WRAPPERS!r} if hasattr(c.get(k), 'keys') or hasattr(c.get(k), 'state_dict')), c) "
        "if isinstance(c, dict) else c; c = c.state_dict() if hasattr(c, 'state_dict') else c; "
        f"torch.save({{k: v for k, v in c.items() if torch.is_tensor(v)}}, {str(target)!r})"
    )


def without_prefixes(tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Takes ``PREFIXES`` off, again and again, as long as every name has the same one.

    ``AVERAGING_COUNTER`` alone may stand beside names that have ``module.``.
    """
    stripped = True
    while stripped:
        stripped = False
        for prefix in PREFIXES:
            names = [name for name in tensors if not (prefix == "module." and name == AVERAGING_COUNTER)]
            if names and all(name.startswith(prefix) and name != prefix for name in names):
                tensors = {name if name not in names else name.removeprefix(prefix): tensors[name] for name in tensors}
                stripped = True
    return tensors


def _tensors(data: bytes) -> dict[str, np.ndarray]:
    if data[:4] == b"PK\x03\x04":
        value, storage_bytes = read_zip(data)
    elif is_safetensors(data):
        tensors = read_safetensors(data)
        return tensors if tensors else _no_tensors("it is empty")
    elif is_legacy(data):
        value, storage_bytes = read_legacy(data)
    else:
        raise JaxnextError(
            "it is neither a .pth or .pt file of torch.save nor a .safetensors file; "
            + (f"it begins with {bytes(data[:16])!a}" if data else "it is empty")
        )
    arrays = {}
    tensors = _state_dict(value)
    if len(tensors) > MAX_TENSORS:
        raise JaxnextError(f"it holds more than {MAX_TENSORS:,} tensors")
    for name, tensor in tensors.items():
        try:
            arrays[name] = tensor_array(tensor, storage_bytes, limit=len(data))
        except JaxnextError as error:
            raise JaxnextError(f"the tensor {name!a} cannot be read: {error}") from None
    return arrays


def _tensors_in(value: object) -> dict[str, Tensor]:
    if type(value) is not dict:
        return {}
    return {name: item for name, item in value.items() if isinstance(item, Tensor)}


def _state_dict(value: object) -> dict[str, Tensor]:
    if type(value) is not dict:
        return _no_tensors("its object is not a dict")
    # A dict may contain itself, so the descent is counted.
    current = value
    for _ in range(_MAX_WRAPPED):
        wrapped = [current[name] for name in WRAPPERS if type(current.get(name)) is dict]
        inner = next((item for item in wrapped if _tensors_in(item)), wrapped[0] if wrapped else None)
        if inner is None or (_tensors_in(current) and not _tensors_in(inner)):
            break
        current = inner
    tensors = _tensors_in(current)
    if tensors:
        return tensors
    keys = ", ".join(ascii(name[:40]) for name in list(value)[:10])
    return _no_tensors(f"its keys are {keys}" if keys else "its dict has no names")


def _no_tensors(found: str) -> dict:
    raise JaxnextError(f"it holds no tensors, neither bare nor under {', '.join(WRAPPERS)}; {found}")
