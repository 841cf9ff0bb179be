"""Mutated and hostile files against the reader of state dicts.

    python tests/fuzz_state_dict.py --files 100000 --seed 0

Every file must end in a dictionary of tensors or in the project's own error: never in another exception, in more than
``MAX_SECONDS``, or in more memory than ``MEMORY_MULTIPLE`` times its size and ``MEMORY_FLOOR``. The memory of Python
and NumPy is traced; what else a file takes is held down by a limit on the process's addresses. The same seed gives the
same files. pytest does not collect this; ``test_state_dict.py`` runs the same code on fewer files.
"""

import argparse
import collections
import contextlib
import dataclasses
import faulthandler
import io
import json
import random
import tempfile
import time
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import ml_dtypes
import numpy as np
from safetensors.numpy import save as save_safetensors
from torch_writer import Raw, Tensor, call, described, legacy_bytes, module, name, pickled, zip_bytes

from jaxnext.errors import JaxnextError
from jaxnext.porting.files.state_dict import load_state_dict

MAX_SECONDS = 2.0
"""Of processor time, for one file."""
MEMORY_MULTIPLE = 128
MEMORY_FLOOR = 64 * 1024
"""Bytes: what the machinery takes for the smallest file."""
ADDRESS_FLOOR = 256 * 1024**2
"""Bytes: as allocators ask the system for more than they are asked for."""

ARRAYS = {
    "conv1.weight": np.arange(24, dtype=np.float32).reshape(2, 3, 2, 2),
    "bn1.num_batches_tracked": np.array(7),
    "fc.bias": np.array([0.5, -1.5], np.float16),
}
_PLAIN, STORAGES = described(ARRAYS | {"bn1.weight": np.ones(6, ml_dtypes.bfloat16)})
TENSORS = _PLAIN | {
    "shared": Tensor("0", "float32", 24, (4, 3), (1, 4), offset=12),
    "strided": Tensor("0", "float32", 24, (2, 3), (12, 2), offset=1, parameter=True),
    "view": Tensor("2", "float16", 2, (1,), (1,), view=("2v", 1, 1)),
}
CONTENT = {key: content for key, (_, content) in STORAGES.items()}
_FLOAT64 = Raw(call("numpy", "dtype", "f8", False, True).code + b"(K\x03X\1\0\0\0<NNNtb")
CHECKPOINT = {
    "args": Raw(name("argparse", "Namespace") + b")\x81}(X\2\0\0\0lrG" + b"\0" * 8 + b"ub"),
    "best": call("numpy._core.multiarray", "scalar", _FLOAT64, call("_codecs", "encode", "\x033Ó?", "latin1")),
    "list": [1, (2, 3.5)],
    "size": call("torch", "Size", (1, 2)),
    "model": TENSORS,
}


def whole_module(legacy: bool = False) -> dict[str, object]:
    """A module with its submodules, within one as DataParallel is, beside what nobody knows."""
    parts = [{key: tensor} for key, tensor in TENSORS.items()]
    blocks = [module("net.Block", part, legacy=legacy) for part in parts]
    body = module("net.Body", {}, {str(number): block for number, block in enumerate(blocks)}, legacy)
    return {
        "criterion": module("net.Loss", {"weight": TENSORS["fc.bias"]}, legacy=legacy),
        "state": Raw(name("net", "State") + b"K\1\x85RK\2K\3sN}b"),
        "folds": {0: call("net", "made", "x", legacy=legacy), 1: None},
        "model": module("torch.nn.parallel.data_parallel.DataParallel", {}, {"module": body}, legacy),
    }


SEEDS = (
    *(zip_bytes(CHECKPOINT, CONTENT), legacy_bytes(CHECKPOINT, STORAGES), save_safetensors(ARRAYS, {"format": "pt"})),
    *(zip_bytes(whole_module(), CONTENT), legacy_bytes(whole_module(legacy=True), STORAGES)),
)
OPCODES = (
    b"]}()Nt.lud0123abesQRo\x81\x92\x85\x86\x87\x88\x89\x8f\x90\x91\x94\x93cihj"
    b"qrKMJGX\x8c\x8d\x8a\x8b\x80\x95UTCB\x8e\x96"
)
HUGE = (-1, 0, 1, 2**16, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**62 - 1, 2**63 - 1, 2**63, 2**64 - 1, 10**30, 2**900)


def truncated(draw: random.Random) -> bytes:
    data = draw.choice(SEEDS)
    return data[: draw.randrange(len(data))]


def flipped(draw: random.Random) -> bytes:
    data = bytearray(draw.choice(SEEDS))
    for _ in range(draw.choice((1, 1, 2, 8))):
        data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
    return bytes(data)


def edited(draw: random.Random) -> bytes:
    return _edit(draw.choice(SEEDS), SEEDS, draw)


def _edit(data: bytes, others: tuple[bytes, ...], draw: random.Random) -> bytes:
    """Bytes replaced by opcodes, runs by runs of another file, and numbers by large ones."""
    changed = bytearray(data)
    for _ in range(draw.choice((1, 1, 2, 5))):
        at = draw.randrange(len(changed) + 1)
        match draw.randrange(4):
            case 0:
                changed[at : at + 1] = bytes([draw.choice(OPCODES)])
            case 1:
                other = draw.choice(others)
                start = draw.randrange(len(other))
                changed[at : at + draw.randrange(40)] = other[start : start + draw.randrange(40)]
            case 2:
                count = draw.choice((1, 2, 4, 8))
                changed[at : at + count] = (draw.choice(HUGE) % 256**count).to_bytes(count, "little")
            case 3:
                del changed[at : at + draw.randrange(9)]
    return bytes(changed)


def _wrapped(code: bytes, draw: random.Random) -> bytes:
    """A file of either format around the opcodes of its object; its checksums are right."""
    return zip_bytes(Raw(code), CONTENT) if draw.randrange(3) else legacy_bytes(Raw(code), STORAGES)


def spliced_pickles(draw: random.Random) -> bytes:
    legacy = draw.random() < 0.5
    codes = tuple(
        pickled(value, legacy)[2:-1] for value in (CHECKPOINT, TENSORS, whole_module(legacy), *TENSORS.values())
    )
    code = _edit(draw.choice(codes[:3]), codes, draw)
    return legacy_bytes(Raw(code), STORAGES) if legacy else zip_bytes(Raw(code), CONTENT)


def random_opcodes(draw: random.Random) -> bytes:
    tensor = pickled(TENSORS["fc.bias"])[2:-1]
    pieces = [bytes([code]) for code in OPCODES] + [
        tensor,
        b"X\1\0\0\0a",
        b"K\1",
        b"h\0",
        b"q\0",
        name("torch", "Size"),
        name("net", "Net"),
        pickled(module("net.Net", {"x": TENSORS["fc.bias"]}))[2:-1],
        pickled({"_parameters": {"x": TENSORS["fc.bias"]}, "_modules": {}})[2:-1],
    ]
    return _wrapped(b"".join(draw.choices(pieces, k=draw.randrange(1, 80))), draw)


def huge_counts(draw: random.Random) -> bytes:
    often = draw.choice((0.0, 0.05, 0.4))

    def number() -> int:
        return draw.choice(HUGE) if draw.random() < often else draw.randrange(4)

    def numbers() -> tuple[int, ...]:
        return tuple(number() for _ in range(draw.choice((0, 1, 2, 3, 17))))

    shape = numbers()
    strides = shape if draw.random() < 0.5 else numbers()
    tensors = {}
    for key, tensor in TENSORS.items():
        count = number() if draw.random() < often else tensor.count
        tensors[key] = Tensor(tensor.key, tensor.dtype, count, shape, strides, number())
    if draw.random() < 0.5:
        return zip_bytes(tensors, CONTENT)
    lying = {key: (draw.choice(HUGE) % 2**63, content) for key, content in CONTENT.items()}
    return legacy_bytes(tensors, lying if draw.random() < often else STORAGES)


def modules_in_one_another(depth: int) -> bytes:
    """A module that is twice in one that is twice in one, and so on: with its names 2**depth tensors."""
    start = name("net", "Net") + b"\x940"
    empty = pickled({"_parameters": {}, "_buffers": {}})[2:-1]
    inner = pickled(module("net.Net", {"x": TENSORS["fc.bias"]}))[2:-1] + b"r\0\1\0\x000"
    wrapped = b"h\0)\x81" + empty + _text("_modules") + b"}(" + _text("a") + b"j\0\1\0\0" + _text("b") + b"j\0\1\0\0usb"
    return start + inner + (wrapped + b"r\0\1\0\x000") * min(depth, 500) + b"j\0\1\0\0"


def recursive(draw: random.Random) -> bytes:
    depth = draw.choice((1, 3, 30, 1000, 5000))
    tensors = pickled(TENSORS)[2:-1]
    return _wrapped(
        draw.choice(
            (
                b"}q\0X\5\0\0\0modelh\0s",  # a dict that is its own state dict
                b"}q\0(X\5\0\0\0modelh\0X\1\0\0\0x" + pickled(TENSORS["fc.bias"])[2:-1] + b"u",
                b"]q\0h\0a",
                b"}q\0X\1\0\0\0x" + b"]" * depth + b"a" * (depth - 1) + b"s",
                b"(" * depth + b"t" * depth,
                b"N" + b"2\x86" * depth,  # a pair of a pair of a pair, each sharing both halves
                b"}" + b"N" + b"2\x86" * depth + b"Ns",
                b"]q\0" + b"2\x86q\0h\0" * depth + b"t",
                b"}X\5\0\0\0model" * depth + tensors + b"s" * depth,
                name("torch", "Size") + b"N\x85" * depth + b"R",
                modules_in_one_another(depth),
                name("collections", "OrderedDict") + b"q\0" + b"h\0(" * depth + b"t" + b"R" * depth,
            )
        ),
        draw,
    )


def zip_bombs(draw: random.Random) -> bytes:
    size = draw.choice((100, 10_000, 1_000_000))
    tensors = {"x": Tensor("0", "uint8", size, (size,), (1,)), "y": Tensor("0", "uint8", size, (1,), (1,))}
    buffer = io.BytesIO()
    method = draw.choice((zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA))
    with zipfile.ZipFile(buffer, "w", method if draw.randrange(3) else zipfile.ZIP_STORED) as archive:
        archive.writestr("archive/data.pkl", pickled(tensors), zipfile.ZIP_STORED)
        for key in range(draw.choice((1, 1, 20))):
            archive.writestr(f"archive/data/{key}", bytes(size))
    data = bytearray(buffer.getvalue())
    start, end = data.index(b"PK\x01\x02"), data.rindex(b"PK\x05\x06")
    if draw.randrange(2):  # members that are called stored, lie on one another, or are larger than the archive
        entries = [at for at in range(start, end) if data[at : at + 4] == b"PK\x01\x02"]
        for _ in range(draw.randrange(1, 4)):
            at = draw.choice(entries)
            field, length = draw.choice(((8, 2), (10, 2), (20, 4), (24, 4), (28, 2), (30, 2), (42, 4)))
            value = draw.choice((0, 1, size, draw.choice(HUGE), int.from_bytes(data[at + 20 : at + 24], "little")))
            data[at + field : at + field + length] = (value % 256**length).to_bytes(length, "little")
    elif draw.randrange(2):
        field, length = draw.choice(((8, 2), (10, 2), (12, 4), (16, 4), (20, 2)))
        data[end + field : end + field + length] = (draw.choice(HUGE) % 256**length).to_bytes(length, "little")
    return bytes(data)


def safetensors_headers(draw: random.Random) -> bytes:
    def number() -> object:
        return draw.choice((*HUGE, 8, 1.5, None, "8", [], {})) if draw.random() < 0.3 else draw.randrange(3)

    header: dict[str, object] = {}
    start = 0
    for key in range(draw.choice((1, 2, 50))):
        size = draw.randrange(4)
        header[str(key)] = {"dtype": "U8", "shape": [size], "data_offsets": [start, start + size]}
        start += size
        if draw.random() < 0.1:
            shape = [number() for _ in range(draw.choice((0, 1, 2, 70)))]
            dtype = draw.choice(("F32", "BF16", "U8", "BOOL", "F8_E5M2", "X", 4))
            header[str(key)] = {"dtype": dtype, "shape": shape, "data_offsets": [number(), number()]}
    if draw.random() < 0.2:
        header["__metadata__"] = draw.choice(({"classes": "[]"}, {"a": 1}, [], "x"))
    text = json.dumps(header).encode()
    if draw.random() < 0.3:
        text = draw.choice((b'{"a":' + b"[" * 5000, text + b" " * 5000, text[:-1], _edit(text, (text,), draw)))
    length = draw.choice(HUGE) % 2**64 if draw.random() < 0.1 else len(text)
    return length.to_bytes(8, "little") + text + bytes(start if draw.random() < 0.9 else draw.choice((0, 1, 8, 64)))


def long_files(draw: random.Random) -> bytes:
    """The patterns that take most time or memory for their size, up to the most that is read."""
    count = int(10 ** draw.uniform(1, 5.65))
    if draw.randrange(10) == 0:
        header = {str(i): {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]} for i in range(count // 5)}
        text = json.dumps(header, separators=(",", ":")).encode()
        return len(text).to_bytes(8, "little") + text
    if draw.randrange(10) == 0:
        return zip_bytes(CHECKPOINT, CONTENT | {f"x{i}": b"" for i in range(count // 50)})
    tensor = pickled(Tensor("0", "float32", 24, (1,) * 16, (1,) * 16))[2:-1]
    rebuild = name("torch._utils", "_rebuild_tensor_v2")
    arguments = tensor.removeprefix(rebuild)[:-1]
    names = [b"\x8c\x06%06d" % number for number in range(count // 4)]
    patterns = (
        b"(" + b"]" * count + b"t",
        b"(" * count,
        b"N" + b"\x94" * count,
        b"(" + b"}" * count + b"t",
        b"N" + b"\x85" * count,
        b"N" + b"\x85\x94" * (count // 2),
        b"(" + b"]\x94" * (count // 2) + b"t",
        name("collections", "OrderedDict") + b"\x94(" + b"h\0)R" * (count // 3) + b"t",
        (name("collections", "OrderedDict") + b"0") * (count // 10),
        name("net", "Net") + b"\x94(" + b"h\0)\x81" * (count // 4) + b"t",
        name("net", "Net") + b"\x94(" + b"h\0)\x81Nb" * (count // 6) + b"t",
        name("net", "Net") + b"\x94(" + b"h\0)\x81NNs" * (count // 7) + b"t",
        name("net", "Net") + b"\x94(" + b"h\0)\x81K\1Ns" * (count // 8) + b"t",
        name("net", "Net") + b"\x94(" + b"h\0)\x81Na" * (count // 6) + b"t",
        b"(" + b"".join(b"cn\n%x\n" % number for number in range(count // 8)) + b"t",
        b"(" + b"]Na" * (count // 3) + b"t",
        b"(" + b"}K\1Ns" * (count // 5) + b"t",
        tensor + b"\x94" + _text("a") + b"\x94(" + b"}h\1h\0s" * min(count // 6, 5_000) + b"t",
        b"](" + b"(e" * (count // 2),
        b"}" + tensor + b"\x940(" + b"".join(key + b"h\0" for key in names) + b"u",
        b"}" + rebuild + b"\x940" + arguments + b"\x940(" + b"".join(key + b"h\0h\1R" for key in names) + b"u",
    )
    return _wrapped(draw.choice(patterns), draw)


def long_names(draw: random.Random) -> bytes:
    """Names of many prefixes, and long texts that are equal but not the same, as keys of dicts and storages."""
    count = int(10 ** draw.uniform(1, 4.5))
    length = draw.choice((40, 990, 1001, 100_000, 1_000_000))
    if draw.randrange(2):
        prefix = draw.choice(("module.", "_orig_mod.", "model.", "module._orig_mod."))
        names = [
            prefix * (length // len(prefix)) + str(number) for number in range(min(count, 1 + 4_000_000 // length))
        ]
        if draw.randrange(2):
            header = {key: {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]} for key in names}
            text = json.dumps(header, separators=(",", ":")).encode()
            return len(text).to_bytes(8, "little") + text
        tensor = pickled(Tensor("0", "float32", 24, (1,), (1,)))[2:-1]
        return _wrapped(b"}" + tensor + b"\x940(" + b"".join(_text(key) + b"h\0" for key in names) + b"u", draw)
    twins = _text("a" * length) + b"\x940" + _text("a" * length) + b"\x940"
    storage = b"(X\7\0\0\0storage" + name("torch", "FloatStorage") + b"h%cX\3\0\0\0cpuK\1tQ0"
    patterns = (
        twins + b"}" + b"h\0Nsh\1Ns" * count,
        twins + b"}(" + b"h\0Nh\1N" * count + b"u",
        twins + name("collections", "OrderedDict") + b"(](" + b"h\0N\x86h\1N\x86" * count + b"etR",
        twins + (storage % 0 + storage % 1) * (count // 4) + b"N",
        twins + b"(" + b"h\0h\1\x93" * count + b"t",
    )
    return _wrapped(draw.choice(patterns), draw)


def _text(text: str) -> bytes:
    return pickled(text)[2:-1]


FAMILIES: dict[Callable[[random.Random], bytes], int] = {
    **dict.fromkeys((truncated, flipped, edited, spliced_pickles, random_opcodes), 40),
    **dict.fromkeys((huge_counts, recursive, safetensors_headers), 25),
    **{zip_bombs: 15, long_files: 1, long_names: 1},
}
"""What makes a file, and its share."""


@dataclasses.dataclass
class Counts:
    """What became of the files of one family, or of all."""

    dictionaries: int = 0
    errors: int = 0
    seconds: float = 0.0
    """the slowest file's"""
    multiple: float = 0.0
    """memory over size, the largest of the files of 10,000 bytes and more"""
    small: int = 0
    """bytes, the most that a smaller file took"""

    def add(self, other: "Counts") -> None:
        self.dictionaries += other.dictionaries
        self.errors += other.errors
        self.seconds = max(self.seconds, other.seconds)
        self.multiple = max(self.multiple, other.multiple)
        self.small = max(self.small, other.small)

    def __str__(self) -> str:
        return (
            f"{self.dictionaries:,} dictionaries, {self.errors:,} errors, slowest {self.seconds:.2f} s, "
            f"most memory {self.multiple:.1f} times the size, {self.small / 1024:.0f} KiB below 10,000 bytes"
        )


def check(path: Path, data: bytes) -> Counts:
    """Reads one file twice, for its time and for its memory.

    Raises:
        AssertionError: it took too much of either, or gave what is no dictionary of tensors.
        Exception: whatever the reader raised that is not the project's error.
    """
    path.write_bytes(data)
    start = time.thread_time()
    found = _load(path)
    seconds = time.thread_time() - start
    _consume(found, len(data))
    peak = _peak(path)
    if peak > MEMORY_MULTIPLE * len(data) + MEMORY_FLOOR:
        # Now and then Python allocates its table of interned strings anew (a megabyte), whatever it reads; not twice.
        peak = min(peak, _peak(path))
    assert seconds <= MAX_SECONDS, f"{seconds:.2f} s"
    assert peak <= MEMORY_MULTIPLE * len(data) + MEMORY_FLOOR, f"{peak:,} bytes of memory for {len(data):,}"
    large = len(data) >= 10_000
    return Counts(bool(found), not found, seconds, peak / len(data) if large else 0.0, 0 if large else peak)


def _peak(path: Path) -> int:
    """Bytes that Python and NumPy have at most while they read the file."""
    tracemalloc.start()
    _load(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def _load(path: Path) -> dict[str, np.ndarray] | None:
    try:
        return load_state_dict(path)
    except JaxnextError:
        return None


def _consume(arrays: dict[str, np.ndarray] | None, size: int) -> None:
    if arrays is None:
        return
    assert arrays, "an empty dictionary"
    left = 10 * size
    for key, array in arrays.items():
        assert type(key) is str
        assert array.nbytes <= size, f"{key!a} takes {array.nbytes:,} bytes"
        left -= array.nbytes
        if left >= 0:
            array.tobytes()


@contextlib.contextmanager
def _limited(size: int) -> Iterator[None]:
    """A process that can take no more addresses than the file's size allows; where the system tells how many it has."""
    statm = Path("/proc/self/statm")
    if not statm.exists():
        yield
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    now = int(statm.read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + MEMORY_MULTIPLE * size + ADDRESS_FLOOR, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def fuzz(files: int, seed: int, path: Path, watch: bool = False) -> dict[str, Counts]:
    """Checks so many files, each written to ``path``.

    Args:
        files: how many.
        seed: of all of them.
        path: where each lies; after a failure, the one that failed.
        watch: for a process of its own: says how far it is, limits its addresses, and ends it where a file hangs for a
            minute.

    Returns:
        the counts of each family.

    Raises:
        AssertionError: a file failed; names its family, number and what happened.
    """
    draw = random.Random(seed)
    counts: dict[str, Counts] = collections.defaultdict(Counts)
    for number in range(files):
        make = draw.choices(list(FAMILIES), list(FAMILIES.values()))[0]
        data = make(draw)
        try:
            if watch:
                if number % 10_000 == 0:
                    print(f"{number:,} of {files:,} files", flush=True)
                faulthandler.dump_traceback_later(60, exit=True)
            with _limited(len(data)) if watch else contextlib.nullcontext():
                counts[make.__name__].add(check(path, data))
        except Exception as error:
            what = f"file {number} of seed {seed} ({make.__name__}), {path}: {type(error).__name__}: {error}"
            raise AssertionError(what) from error
    if watch:
        faulthandler.cancel_dump_traceback_later()
    return counts


def main() -> None:
    parser = argparse.ArgumentParser(description="Mutated and hostile files against the reader of state dicts.")
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    path = Path(tempfile.mkdtemp()) / "fuzz.pth"
    counts = fuzz(arguments.files, arguments.seed, path, watch=True)
    total = Counts()
    for family, found in sorted(counts.items()):
        total.add(found)
        print(f"{family:20} {found}")
    print(f"{'all':20} {total}")
    path.unlink()
    path.parent.rmdir()


if __name__ == "__main__":
    main()
