"""The names that a PyTorch file may mention, and what each becomes instead of being imported and called.

The names that rebuild tensors give a ``Tensor`` (a description, no data yet), plain containers become dicts, lists and
tuples, and what training checkpoints keep beside the tensors (``argparse.Namespace``, paths, NumPy arrays)
becomes ``INERT``, an object without content. Every other name becomes a ``Placeholder``, which holds what the pickle
hands it and does nothing with it; a tensor that only an unknown name could rebuild becomes ``Unread``.

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
_MAX_NUMBER: Final = 2**31


class Inert:
    """Stands for data that a tensor dictionary does not need."""


INERT: Final = Inert()


@dataclass(frozen=True, slots=True)
class Global:
    """A name, such as ``torch.FloatStorage``; ``known``: it stands in the tables here."""

    name: str
    known: bool = True


class Placeholder:
    """Stands for an object of an unknown class, or for what an unknown function would give; nothing is ever called.

    ``state``, ``items`` and ``elements`` are what the pickle would set on it, as an object, a dict and a list.
    """

    __slots__ = ("arguments", "elements", "items", "name", "state")

    def __init__(self, name: str, arguments: tuple[object, ...]):
        self.name = name
        self.arguments = arguments
        self.state: object = None
        self.items: dict[str | int, object] | None = None
        self.elements: list[object] | None = None


@dataclass(frozen=True, slots=True)
class Unread:
    """A tensor, or its storage, that is not read: ``name`` says what would have to rebuild it, or its dtype."""

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
    # Their bytes are counted, but no tensor is made of them.
    "ComplexFloatStorage": "complex64",
    "ComplexDoubleStorage": "complex128",
    "QInt8Storage": "qint8",
    "QUInt8Storage": "quint8",
    "QInt32Storage": "qint32",
}
"""PyTorch's storage types and PyTorch's name of their elements' dtype, which is NumPy's where NumPy has one."""

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
        *("float64", "float32", "float16", "bfloat16", "bool"),
        *("int64", "int32", "int16", "int8", "uint64", "uint32", "uint16", "uint8"),
    )
)


def _tensor(args: tuple[object, ...], dtype: str | None = None) -> Tensor | Unread:
    storage = args[0]
    if isinstance(storage, Unread):
        return storage
    if not isinstance(storage, Storage):
        malformed("a tensor has no storage")
    dtype = dtype if storage.dtype is None else storage.dtype
    if dtype is None:
        malformed("a tensor on a storage of bytes has no dtype")
    if f"torch.{dtype}" not in _DTYPES:
        return Unread(f"torch.{dtype}")
    shape, strides = _counts(args[2], "a tensor's size"), _counts(args[3], "a tensor's stride")
    if len(shape) != len(strides):
        malformed("a tensor's size and stride differ in length")
    return Tensor(storage, dtype, checked_count(args[1], "a tensor's offset"), shape, strides)


def keep(target: dict[str | int, object], key: object, value: object) -> None:
    """Set an item of a dict that the pickle describes, if ``key`` is a number or text of at most ``MAX_NAME``.

    Raises:
        JaxnextError: it is a tensor's, and longer.
    """
    if type(key) is int and 0 <= key < _MAX_NUMBER:
        target[key] = value
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
    if not isinstance(dtype, Global) or not dtype.name.startswith("torch."):
        malformed("_rebuild_tensor_v3 has no dtype")
    return _tensor(args, dtype.name.removeprefix("torch."))


def _rebuild_parameter(args: tuple[object, ...]) -> object:
    if len(args) not in (3, 4) or not isinstance(args[0], Tensor | Unread):
        malformed("_rebuild_parameter does not have a tensor and 2 or 3 further arguments")
    return args[0]


def _rebuild_from_type(args: tuple[object, ...]) -> object:
    # A tensor with attributes of its own, or of a subclass; what a subclass adds to its numbers is not known.
    if len(args) not in (3, 4) or not isinstance(args[0], Global) or not isinstance(args[1], Global):
        malformed("_rebuild_from_type does not have a function, a type and arguments")
    if args[0].name not in _REBUILDS or args[1].name not in _TENSOR_TYPES:
        return Unread(args[1].name)
    return call(args[0], args[2])


def _dictionary(args: tuple[object, ...]) -> object:
    # Python 2 wrote an OrderedDict as a list of [key, value]; Python 3 writes an empty one and then sets its items.
    result: dict[str | int, object] = {}
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


def _set(args: tuple[object, ...]) -> object:
    return args[0] if len(args) == 1 and type(args[0]) is list else INERT


def _inert(args: tuple[object, ...]) -> object:
    return INERT


# Data without tensors: whatever they are called with, nothing is made of it.
_INERT: Final = (
    *("torch.device", "argparse.Namespace", "types.SimpleNamespace", "_codecs.encode"),
    *("collections.Counter", "collections.deque"),
    # Among them what pickle protocol 2 writes for bytes, with the names that Python 2 had.
    *(f"builtins.{name}" for name in ("bytes", "bytearray", "str", "unicode", "complex", "range", "xrange", "slice")),
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
_REBUILDS: Final[dict[str, Callable[[tuple[object, ...]], object]]] = {
    "torch._utils._rebuild_tensor": _rebuild_tensor,
    "torch._utils._rebuild_tensor_v2": _rebuild_tensor_v2,
    "torch._utils._rebuild_tensor_v3": _rebuild_tensor_v3,
    "torch._utils._rebuild_parameter": _rebuild_parameter,
    "torch._utils._rebuild_parameter_with_state": _rebuild_parameter,
}
_TENSOR_TYPES: Final = ("torch.Tensor", "torch._tensor.Tensor", "torch.nn.parameter.Parameter")
_CALLS: Final[dict[str, Callable[[tuple[object, ...]], object]]] = {
    **_REBUILDS,
    "torch._tensor._rebuild_from_type": _rebuild_from_type,
    "torch._tensor._rebuild_from_type_v2": _rebuild_from_type,
    "builtins.set": _set,
    "builtins.frozenset": _set,
    "torch.Size": _size,
    "collections.OrderedDict": _dictionary,
    "collections.defaultdict": _dictionary,
    **dict.fromkeys(_INERT, _inert),
}
_NAMED: Final = frozenset(
    (
        *(f"builtins.{name}" for name in ("list", "dict", "tuple", "int", "float", "bool")),
        # Types of tensors, and of a net's optimizer state where it is kept with its defaults.
        *_TENSOR_TYPES,
    )
)
"""Named but never called: the element types of a defaultdict, the types of tensors."""

_REBUILDERS: Final = ("torch._utils._rebuild", "torch._tensor._rebuild", "torch.storage._load_from_bytes")
"""How the names of functions begin that give a tensor or a storage."""
_RECONSTRUCTORS: Final = ("copyreg._reconstructor", "copy_reg._reconstructor")


def find(module: str, name: str) -> Global:
    """Look a name up; one that is not in the tables is not ``known``, and no more than its text.

    Raises:
        JaxnextError: it has more than ``MAX_NAME`` characters.
    """
    module = "builtins" if module == "__builtin__" else module
    if len(module) > MAX_NAME or len(name) > MAX_NAME:
        malformed(f"the name of an object has more than {MAX_NAME:,} characters")
    full = f"{module}.{name}"
    return Global(full, full in _CALLS or full in STORAGES or full in _DTYPES or full in _NAMED)


def call(function: object, args: object) -> object:
    """Return what a call of the name ``function`` gives; making an object counts as a call of its class.

    A name that is not known gives a ``Placeholder``, or ``Unread`` where a storage is handed to it.
    """
    if type(args) is not tuple or not isinstance(function, Global | Placeholder):
        malformed("it calls what is not a function")
    if isinstance(function, Global):
        if function.name in _CALLS:
            return _CALLS[function.name](args)
        if function.name in STORAGES or function.name in _DTYPES:
            malformed("it calls what is not a function")
        if function.name in _RECONSTRUCTORS and args and isinstance(args[0], Global):
            return Placeholder(args[0].name, args[2:])
    if function.name.startswith(_REBUILDERS) or any(isinstance(item, Storage | Unread) for item in args):
        return Unread(function.name)
    return Placeholder(function.name, args)


def shown(name: str) -> str:
    """Return a name as messages write it: cut, and without characters that a terminal would obey."""
    return name if name.isprintable() and len(name) <= 200 else ascii(name[:200])
