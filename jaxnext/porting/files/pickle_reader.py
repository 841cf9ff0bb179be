"""Reads the pickles inside PyTorch files without executing anything.

A pickle is a program for a stack machine. This machine knows the opcodes that PyTorch's files use (pickle protocols 2
to 5, and the strings of Python 2); what the pickle names is looked up in ``pickle_names``, never imported, and what it
would call or set on an object of an unknown class is kept as data in a ``Placeholder``.

Memory is bounded by a fixed multiple of the pickle's size: counts are checked against the bytes that are left, memo
indices are dict keys, nothing is traversed recursively, and no value but a string is ever hashed (the hash of nested
tuples that share their parts takes exponential time).

Reference: the opcodes as documented in CPython's ``pickletools``.
"""

import struct
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from jaxnext.errors import JaxnextError
from jaxnext.porting.files.pickle_names import (
    INERT,
    MAX_NAME,
    STORAGES,
    Global,
    Inert,
    Placeholder,
    Storage,
    Unread,
    call,
    checked_count,
    find,
    keep,
    malformed,
)

MAX_OPCODES: Final = 500_000
"""A pickle with more opcodes than this is refused: half a second; a large model's has some ten thousand."""


class Pickled(NamedTuple):
    """What a pickle holds."""

    value: object
    """dict, list, tuple, str, int, float, bool, None, ``Tensor``, ``Unread``, ``Storage``, ``Global``, ``Placeholder``
    or ``INERT``; dicts keep only keys that are text of at most ``MAX_NAME`` characters or whole numbers, and sets are
    lists"""
    end: int
    """position after the pickle"""
    storages: dict[str, Storage]
    """those it mentions, by key"""
    unknown: tuple[str, ...]
    """names that it mentions and that are not in the tables, in its order"""


def read_pickle(data: memoryview, start: int = 0, max_opcodes: int = MAX_OPCODES) -> Pickled:
    """Read one pickle.

    Args:
        data: the bytes that hold it.
        start: where in ``data`` it begins.
        max_opcodes: a pickle with more is refused.

    Raises:
        JaxnextError: it is malformed. The message does not name the file.
    """
    machine = _Machine(data, start)
    value = machine.run(max_opcodes)
    return Pickled(value, machine.position, machine.storages, machine.unknown())


def _text(raw: bytes) -> object:
    # Bytes that are no text (a path of another encoding, a NumPy scalar of Python 2) cannot name a tensor.
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return INERT


def _bytes(raw: bytes) -> object:
    return INERT


def _long(raw: bytes) -> object:
    return int.from_bytes(raw, "little", signed=True)


_PREFIXED: Final[dict[int, tuple[str, Callable[[bytes], object]]]] = {
    0x58: ("<I", _text),  # BINUNICODE
    0x8C: ("<B", _text),  # SHORT_BINUNICODE
    0x8D: ("<Q", _text),  # BINUNICODE8
    0x55: ("<B", _text),  # SHORT_BINSTRING
    0x54: ("<i", _text),  # BINSTRING
    0x43: ("<B", _bytes),  # SHORT_BINBYTES
    0x42: ("<I", _bytes),  # BINBYTES
    0x8E: ("<Q", _bytes),  # BINBYTES8
    0x96: ("<Q", _bytes),  # BYTEARRAY8
    0x8A: ("<B", _long),  # LONG1
    0x8B: ("<i", _long),  # LONG4
}
_NUMBERS: Final = {0x4B: "<B", 0x4D: "<H", 0x4A: "<i", 0x47: ">d"}  # BININT1, BININT2, BININT, BINFLOAT
_CONSTANTS: Final = {0x4E: None, 0x88: True, 0x89: False, 0x29: ()}  # NONE, NEWTRUE, NEWFALSE, ()
_SHORT_TUPLES: Final = {0x85: 1, 0x86: 2, 0x87: 3}  # TUPLE1, TUPLE2, TUPLE3
_PUTS: Final = {0x71: "<B", 0x72: "<I"}  # BINPUT, LONG_BINPUT
_GETS: Final = {0x68: "<B", 0x6A: "<I"}  # BINGET, LONG_BINGET
_STOP: Final = 0x2E


class _Machine:
    """One run over one pickle."""

    def __init__(self, data: memoryview, position: int):
        self.data = data
        self.position = position
        self.storages: dict[str, Storage] = {}
        self._stack: list[object] = []
        self._marked: list[list[object]] = []
        self._memo: dict[int, object] = {}
        # One object for each name, however often it is mentioned.
        self._globals: dict[str, Global] = {}

    def unknown(self) -> tuple[str, ...]:
        return tuple(name for name, found in self._globals.items() if not found.known)

    def _find(self, module: str, name: str) -> Global:
        found = find(module, name)
        return self._globals.setdefault(found.name, found)

    def run(self, max_opcodes: int) -> object:
        for _ in range(max_opcodes):
            opcode = self._take(1)[0]
            if opcode == _STOP:
                return self._pop()
            self._step(opcode)
        raise JaxnextError(f"its pickle has more than {max_opcodes:,} opcodes")

    def _step(self, opcode: int) -> None:
        push = self._stack.append
        if opcode in _PUTS:
            self._memo[self._number(_PUTS[opcode])] = self._top()
        elif opcode in _PREFIXED:
            length, convert = _PREFIXED[opcode]
            push(convert(bytes(self._take(self._number(length)))))
        elif opcode in _NUMBERS:
            push(self._number(_NUMBERS[opcode]))
        elif opcode in _CONSTANTS:
            push(_CONSTANTS[opcode])
        elif opcode in _GETS:
            push(self._remembered(self._number(_GETS[opcode])))
        elif opcode in _SHORT_TUPLES:
            push(tuple(reversed([self._pop() for _ in range(_SHORT_TUPLES[opcode])])))
        elif opcode in _OPERATIONS:
            _OPERATIONS[opcode](self)
        else:
            malformed(f"opcode 0x{opcode:02x} is not read")

    def _take(self, count: int) -> memoryview:
        end = self.position + count
        if count < 0 or end > len(self.data):
            malformed("it is cut short")
        taken = self.data[self.position : end]
        self.position = end
        return taken

    def _number(self, form: str) -> Any:
        return struct.unpack(form, self._take(struct.calcsize(form)))[0]

    def _line(self) -> str:
        # Names are short; the limit keeps a pickle without line ends from being scanned over and over.
        line, newline, _ = bytes(self.data[self.position : self.position + 1000]).partition(b"\n")
        if not newline:
            malformed("a name does not end")
        self.position += len(line) + 1
        return line.decode("utf-8", "backslashreplace")

    def _top(self) -> object:
        return self._stack[-1] if self._stack else malformed("its stack is empty")

    def _pop(self) -> object:
        return self._stack.pop() if self._stack else malformed("its stack is empty")

    def _pop_to_mark(self) -> list[object]:
        if not self._marked:
            malformed("a mark is missing")
        items, self._stack = self._stack, self._marked.pop()
        return items

    def _remembered(self, index: int) -> object:
        return self._memo[index] if index in self._memo else malformed("it recalls what it did not store")

    def mark(self) -> None:
        self._marked.append(self._stack)
        self._stack = []

    def pop(self) -> None:
        # As in CPython, POP takes the mark away where nothing lies above it.
        if self._stack:
            self._stack.pop()
        else:
            self._pop_to_mark()

    def pop_marked(self) -> None:
        self._pop_to_mark()

    def duplicate(self) -> None:
        self._stack.append(self._top())

    def memoize(self) -> None:
        self._memo[len(self._memo)] = self._top()

    def protocol(self) -> None:
        if self._number("<B") > 5:
            malformed("its protocol is newer than 5")

    def frame(self) -> None:
        self._take(8)

    def empty_dict(self) -> None:
        self._stack.append({})

    def empty_list(self) -> None:
        self._stack.append([])

    def tuple_of_marked(self) -> None:
        items = self._pop_to_mark()
        self._stack.append(tuple(items))

    def list_of_marked(self) -> None:
        items = self._pop_to_mark()
        self._stack.append(items)

    def dict_of_marked(self) -> None:
        items = self._pop_to_mark()
        self._stack.append({})
        self._set(items)

    def append(self) -> None:
        item = self._pop()
        self._extend([item])

    def append_marked(self) -> None:
        self._extend(self._pop_to_mark())

    def _extend(self, items: list[object]) -> None:
        target = self._top()
        if type(target) is list:
            target.extend(items)
        elif isinstance(target, Placeholder):
            if target.elements is None:
                target.elements = []
            target.elements.extend(items)
        elif target is not INERT:
            malformed("it appends to what is not a list")

    def set_item(self) -> None:
        value, key = self._pop(), self._pop()
        self._set([key, value])

    def set_marked(self) -> None:
        self._set(self._pop_to_mark())

    def _set(self, items: list[object]) -> None:
        target = self._top()
        if len(items) % 2:
            malformed("a key has no value")
        if isinstance(target, Placeholder):
            if target.items is None:
                target.items = {}
            target = target.items
        if type(target) is dict:
            for key, value in zip(items[::2], items[1::2], strict=True):
                keep(target, key, value)
        elif target is not INERT:
            malformed("it sets items of what is not a dict")

    def name_in_text(self) -> None:
        module = self._line()
        self._stack.append(self._find(module, self._line()))

    def name_on_stack(self) -> None:
        name, module = self._pop(), self._pop()
        if type(name) is not str or type(module) is not str:
            malformed("a name is not text")
        self._stack.append(self._find(module, name))

    def call(self) -> None:
        args, function = self._pop(), self._pop()
        self._stack.append(call(function, args))

    def call_named(self) -> None:
        module = self._line()
        function = self._find(module, self._line())
        args = tuple(self._pop_to_mark())
        self._stack.append(call(function, args))

    def call_marked(self) -> None:
        function, *args = self._pop_to_mark() or malformed("a class is missing")
        self._stack.append(call(function, tuple(args)))

    def call_with_names(self) -> None:
        named, args, function = self._pop(), self._pop(), self._pop()
        if type(named) is not dict or type(args) is not tuple:
            malformed("it calls what is not a function")
        # What is handed by name is data as the rest is, for a placeholder; what is known here takes nothing by name.
        self._stack.append(call(function, (*args, named) if named else args))

    def build(self) -> None:
        # The state of a Namespace or dtype, or the ``_metadata`` (module versions) that PyTorch hangs on a state dict.
        state = self._pop()
        target = self._top()
        if isinstance(target, Placeholder):
            target.state = state
        elif type(target) not in (dict, Inert, Unread):
            malformed("it sets the state of what has none")

    def storage(self) -> None:
        saved = self._pop()
        module = _module_class(saved)
        if module is not None:
            self._stack.append(module)
            return
        if type(saved) is not tuple or len(saved) not in (5, 6) or saved[0] != "storage":
            malformed("a persistent id is not a storage's")
        _, kind, key, _, count, *rest = saved
        if not isinstance(kind, Global) or type(key) is not str:
            malformed("a storage has no type or no key")
        if kind.name not in STORAGES:
            self._stack.append(Unread(kind.name))
            return
        if len(key) > MAX_NAME:
            malformed(f"a storage's key has more than {MAX_NAME:,} characters")
        view = None
        if rest and rest[0] is not None:
            if type(rest[0]) is not tuple or len(rest[0]) != 3:
                malformed("a storage's view is not a triple")
            _, first, size = rest[0]
            view = (checked_count(first, "a view's offset"), checked_count(size, "a view's size"))
        whole = Storage(key, STORAGES[kind.name], checked_count(count, "a storage's size"), None)
        if self.storages.setdefault(key, whole) != whole:
            malformed("one storage is given two types or sizes")
        self._stack.append(Storage(key, whole.dtype, whole.count, view))


def _module_class(saved: object) -> Global | None:
    """Return the class that the legacy format saves with the text of its source file; ``None``: it is no such class."""
    if type(saved) is tuple and len(saved) == 4 and saved[0] == "module" and isinstance(saved[1], Global):
        return saved[1]
    return None


_OPERATIONS: Final[dict[int, Callable[[_Machine], None]]] = {
    0x28: _Machine.mark,
    0x30: _Machine.pop,
    0x31: _Machine.pop_marked,
    0x32: _Machine.duplicate,
    0x94: _Machine.memoize,
    0x80: _Machine.protocol,
    0x95: _Machine.frame,
    0x7D: _Machine.empty_dict,
    0x5D: _Machine.empty_list,
    0x74: _Machine.tuple_of_marked,
    0x6C: _Machine.list_of_marked,
    0x64: _Machine.dict_of_marked,
    0x8F: _Machine.empty_list,  # EMPTY_SET
    0x91: _Machine.list_of_marked,  # FROZENSET
    0x61: _Machine.append,
    0x65: _Machine.append_marked,
    0x90: _Machine.append_marked,
    0x73: _Machine.set_item,
    0x75: _Machine.set_marked,
    0x63: _Machine.name_in_text,
    0x93: _Machine.name_on_stack,
    0x52: _Machine.call,
    0x81: _Machine.call,
    0x92: _Machine.call_with_names,
    0x6F: _Machine.call_marked,
    0x69: _Machine.call_named,
    0x62: _Machine.build,
    0x51: _Machine.storage,
}
