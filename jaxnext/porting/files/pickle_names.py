"""The names that a PyTorch file may mention, and what each becomes instead of being imported and called.

The names that rebuild tensors give a ``Tensor`` (a description, no data yet), plain containers become dicts and
tuples, and what training checkpoints keep beside the tensors (``argparse.Namespace``, paths, NumPy arrays, sets)
becomes ``INERT``, an object without content. Every other name is refused.

Reference: names and arguments as in ``torch/_utils.py`` and ``torch/serialization.py``.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NoReturn

from jaxnext.errors import JaxnextError

MAX_NAME: Final = 1000
"""Characters; a tensor or storage with a longer name is refused. Comparing long names over and over takes time."""

_MAX_COUNT: Final = 2**62
_MAX_DIMENSIONS: Final = 16


class RefusedGlobalError(JaxnextError):
    """The pickle names an object that is neither a tensor nor plain data. ``name`` is what it names."""

    def __init__(self, name: str):
        super().__init__(f"it names {name}, which is neither a tensor nor plain data")
        self.name = name


class Inert:
    """Stands for data that a tensor dictionary does not need."""


INERT: Final = Inert()


@dataclass(frozen=True, slots=True)
class Global:
    """A name that the table knows, such as ``torch.FloatStorage``."""

    name: str


@dataclass(frozen=True, slots=True)
class Storage:
    """A tensor's storage: its key in the file, NumPy dtype name (None: bytes of any type) and count of elements.

    ``view`` is ``(offset, count)`` where only that part of the storage is meant, else None.
    """

    key: str
    dtype: str | None
    count: int
    view: tuple[int, int] | None


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor: a strided window on a storage. Offset and strides are in elements, and not yet checked against it."""

    storage: Storage
    dtype: str
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def malformed(what: str) -> NoReturn:
    """Raise the error for a pickle that no PyTorch wrote."""
    raise JaxnextError(f"its pickle is damaged or not PyTorch's: {what}")


def checked_count(value: object, what: str) -> int:
    """Return the number ``value`` if it can count elements; ``what`` names it in the error."""
    # The value itself stays out of the message: a hostile integer may be too long to be printed at all.
    if type(value) is not int or not 0 <= value < _MAX_COUNT:
        malformed(f"{what} is not a whole number from 0 to 2**62")
    return value


def _counts(value: object, what: str) -> tuple[int, ...]:
    # The tuple itself is returned, not a copy: thousands of tensors may share one.
    if type(value) is not tuple or len(value) > _MAX_DIMENSIONS:
        malformed(f"{what} is not a tuple of at most {_MAX_DIMENSIONS} numbers")
    for item in value:
        checked_count(item, what)
    return value


STORAGE_DTYPES: Final[dict[str, str]] = {
    "DoubleStorage": "float64",
    "FloatStorage": "float32",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
}
"""PyTorch's storage types and the NumPy dtype name of their elements."""

STORAGES: Final[dict[str, str | None]] = {
    **{f"torch.{name}": dtype for name, dtype in STORAGE_DTYPES.items()},
    **{f"torch.cuda.{name}": dtype for name, dtype in STORAGE_DTYPES.items()},
    "torch.UntypedStorage": None,
    "torch.storage.UntypedStorage": None,
}
"""Storage types as a pickle names them; None: bytes, whose type the tensor gives."""

_DTYPES: Final = frozenset(
    "torch." + name
    for name in (
        *("float64", "float32", "float16", "bfloat16", "bool", "complex64", "complex128"),
        *("int64", "int32", "int16", "int8", "uint64", "uint32", "uint16", "uint8"),
    )
)


def _tensor(args: tuple[object, ...], dtype: str | None = None) -> Tensor:
    storage = args[0]
    if not isinstance(storage, Storage):
        malformed("a tensor has no storage")
    dtype = dtype if storage.dtype is None else storage.dtype
    if dtype is None:
        malformed("a tensor on a storage of bytes has no dtype")
    shape, strides = _counts(args[2], "a tensor's size"), _counts(args[3], "a tensor's stride")
    if len(shape) != len(strides):
        malformed("a tensor's size and stride differ in length")
    return Tensor(storage, dtype, checked_count(args[1], "a tensor's offset"), shape, strides)


def keep(target: dict[str, object], key: object, value: object) -> None:
    """Set an item of a dict that the pickle describes, if ``key`` can be a name: text of at most ``MAX_NAME``.

    Raises:
        JaxnextError: it is a tensor's, and longer.
    """
    if type(key) is not str:
        return
    if len(key) <= MAX_NAME:
        target[key] = value
    elif isinstance(value, Tensor):
        name_too_long(key)


def name_too_long(name: str) -> NoReturn:
    """Raise the error for a tensor whose name has more than ``MAX_NAME`` characters."""
    raise JaxnextError(f"its tensor {name[:40]!a}... has a name of more than {MAX_NAME:,} characters")


def _without_metadata(metadata: object) -> None:
    # Conjugate and negative bits change the values; PyTorch writes them for views of complex tensors only.
    if metadata not in (None, {}):
        malformed("a tensor carries metadata (conjugate or negative bits)")


def _rebuild_tensor(args: tuple[object, ...]) -> object:
    if len(args) != 4:
        malformed("_rebuild_tensor does not have 4 arguments")
    return _tensor(args)


def _rebuild_tensor_v2(args: tuple[object, ...]) -> object:
    if len(args) not in (6, 7):
        malformed("_rebuild_tensor_v2 does not have 6 or 7 arguments")
    _without_metadata(args[6] if len(args) == 7 else None)
    return _tensor(args)


def _rebuild_tensor_v3(args: tuple[object, ...]) -> object:
    if len(args) not in (7, 8):
        malformed("_rebuild_tensor_v3 does not have 7 or 8 arguments")
    _without_metadata(args[7] if len(args) == 8 else None)
    dtype = args[6]
    if not isinstance(dtype, Global) or dtype.name not in _DTYPES or "complex" in dtype.name:
        malformed("_rebuild_tensor_v3 has no dtype that is read")
    return _tensor(args, dtype.name.removeprefix("torch."))


def _rebuild_parameter(args: tuple[object, ...]) -> object:
    if len(args) not in (3, 4) or not isinstance(args[0], Tensor):
        malformed("_rebuild_parameter does not have a tensor and 2 or 3 further arguments")
    return args[0]


def _dictionary(args: tuple[object, ...]) -> object:
    # Python 2 wrote an OrderedDict as a list of [key, value]; Python 3 writes an empty one and then sets its items.
    result: dict[str, object] = {}
    if len(args) == 1 and type(args[0]) is list:
        for pair in args[0]:
            if type(pair) not in (list, tuple) or len(pair) != 2:
                malformed("an OrderedDict is not made of pairs")
            keep(result, pair[0], pair[1])
        # The list belongs to this call alone. Emptied, it cannot be copied again by thousands of hostile calls.
        args[0].clear()
    return result


def _size(args: tuple[object, ...]) -> object:
    return args[0] if len(args) == 1 and type(args[0]) is tuple else malformed("torch.Size is not made of a tuple")


def _inert(args: tuple[object, ...]) -> object:
    return INERT


# Data without tensors: whatever they are called with, nothing is made of it.
_INERT: Final = (
    *("torch.device", "argparse.Namespace", "types.SimpleNamespace", "_codecs.encode"),
    *("collections.Counter", "collections.deque"),
    # Among them what pickle protocol 2 writes for bytes, with the names that Python 2 had.
    *(
        f"builtins.{name}"
        for name in ("set", "frozenset", "bytes", "bytearray", "str", "unicode", "complex", "range", "xrange", "slice")
    ),
    # Python 3.13 moved the classes of paths, which 3.14 moved back.
    *(
        f"{module}.{kind}"
        for module in ("pathlib", "pathlib._local")
        for kind in ("Path", "PosixPath", "WindowsPath", "PurePath", "PurePosixPath", "PureWindowsPath")
    ),
    *(f"datetime.{name}" for name in ("datetime", "date", "time", "timedelta", "timezone")),
    *("numpy.dtype", "numpy.ndarray"),
    # NumPy 2 put an underscore before the module that pickles name.
    *(
        f"numpy.{core}.{name}"
        for core in ("core", "_core")
        for name in ("multiarray.scalar", "multiarray._reconstruct", "numeric._frombuffer")
    ),
)
_CALLS: Final[dict[str, Callable[[tuple[object, ...]], object]]] = {
    "torch._utils._rebuild_tensor": _rebuild_tensor,
    "torch._utils._rebuild_tensor_v2": _rebuild_tensor_v2,
    "torch._utils._rebuild_tensor_v3": _rebuild_tensor_v3,
    "torch._utils._rebuild_parameter": _rebuild_parameter,
    "torch._utils._rebuild_parameter_with_state": _rebuild_parameter,
    "torch.Size": _size,
    "collections.OrderedDict": _dictionary,
    "collections.defaultdict": _dictionary,
    **dict.fromkeys(_INERT, _inert),
}
# Named but never called: the element types of a defaultdict.
_ELEMENT_TYPES: Final = frozenset(f"builtins.{name}" for name in ("list", "dict", "tuple", "int", "float", "bool"))


def find(module: str, name: str) -> Global:
    """Look a name up; raise ``RefusedGlobalError`` for one that is not in the tables."""
    module = "builtins" if module == "__builtin__" else module
    full = f"{module}.{name}"
    if full in _CALLS or full in STORAGES or full in _DTYPES or full in _ELEMENT_TYPES:
        return Global(full)
    raise RefusedGlobalError(full if full.isprintable() and len(full) <= 200 else ascii(full[:200]))


def call(function: object, args: object) -> object:
    """Return what a call of the name ``function`` gives; making an object counts as a call of its class."""
    if not isinstance(function, Global) or function.name not in _CALLS or type(args) is not tuple:
        malformed("it calls what is not a function")
    return _CALLS[function.name](args)
