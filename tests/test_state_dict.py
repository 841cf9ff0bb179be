"""Files of both PyTorch formats and of safetensors: what is read from them, and that nothing is executed."""

import argparse
import collections
import contextlib
import datetime
import pickle
import sys
import time
from pathlib import Path, PureWindowsPath

import fuzz_state_dict
import ml_dtypes
import numpy as np
import pytest
from fuzz_state_dict import ARRAYS, FAMILIES, fuzz
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save as save_safetensors
from torch_writer import Raw, Tensor, call, described, legacy_bytes, name, pickled, save_legacy, save_zip, zip_bytes

from jaxnext.errors import JaxnextError
from jaxnext.porting.files.state_dict import load_state_dict, without_prefixes

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
DTYPES = [np.dtype(d) for d in ("f8", "f4", "f2", "i8", "i4", "i2", "i1", "u1", "?")] + [BFLOAT16]


def load_bytes(folder: Path, data: bytes) -> dict[str, np.ndarray]:
    path = folder / "file.pth"
    path.write_bytes(data)
    return load_state_dict(path)


def assert_same(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert list(found) == list(expected)
    for key, array in expected.items():
        assert found[key].dtype == array.dtype
        assert found[key].shape == array.shape
        np.testing.assert_array_equal(found[key], array)


def refusal(folder: Path, data: bytes) -> str:
    with pytest.raises(JaxnextError) as caught:
        load_bytes(folder, data)
    assert str(folder / "file.pth") in str(caught.value)
    return str(caught.value)


# ---- the formats ----


@pytest.mark.parametrize("save", [save_zip, save_legacy])
def test_both_torch_formats_give_names_values_and_dtypes(tmp_path, save):
    assert_same(load_state_dict(save(tmp_path / "any.name", ARRAYS)), ARRAYS)


@pytest.mark.parametrize("save", [save_zip, save_legacy])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_every_dtype(tmp_path, save, dtype):
    arrays = {"x": np.array([[0, 1, 1], [1, 0, 1]]).astype(dtype)}
    assert_same(load_state_dict(save(tmp_path / "x.pth", arrays)), arrays)


def test_safetensors_is_told_by_content(tmp_path):
    arrays = {"a": np.ones((2, 1), np.float32), "b": np.array([True, False]), "c": np.zeros((0, 4), np.int64)}
    found = load_bytes(tmp_path, save_safetensors(arrays, {"format": "pt"}))
    assert_same(dict(sorted(found.items())), arrays)


# ---- which tensors, under which names ----


@pytest.mark.parametrize("wrapper", ["state_dict", "model", "model_state_dict", "model_ema"])
def test_a_wrapped_state_dict_beside_inert_data(tmp_path, wrapper):
    tensors, storages = described(ARRAYS)
    latin = call("_codecs", "encode", "\x033Ó?", "latin1")
    dtype = Raw(call("numpy", "dtype", "f8", False, True).code + b"(K\x03X\1\0\0\0<NNNtb")
    checkpoint = {
        "epoch": 3,
        "args": Raw(name("argparse", "Namespace") + b")\x81}(X\2\0\0\0lrG" + b"\0" * 8 + b"ub"),
        "best": call("numpy.core.multiarray", "scalar", dtype, latin),
        "best2": call("numpy._core.multiarray", "scalar", dtype, latin),
        "seen": call("__builtin__", "set", [1, 2]),
        "device": call("torch", "device", "cpu"),
        "size": call("torch", "Size", (1, 2)),
        "dtype": Raw(name("torch", "float16")),
        "optimizer": {"state": Raw(b"}K\0X\4\0\0\0stats"), "param_groups": [{"lr": 0.1}]},
        wrapper: tensors,
    }
    content = {key: raw for key, (_, raw) in storages.items()}
    assert_same(load_bytes(tmp_path, zip_bytes(checkpoint, content)), ARRAYS)
    assert_same(load_bytes(tmp_path, zip_bytes({"state_dict": checkpoint}, content)), ARRAYS)


def test_what_is_passed_over_is_said(tmp_path):
    tensors = {key: Tensor(key, "float32", 1, (1,), (1,)) for key in ("0", "1")}
    value = {"model_ema": {"x": tensors["0"]}, "model": {"x": tensors["1"]}}
    path, said = tmp_path / "model.pth", []
    path.write_bytes(zip_bytes(value, {key: np.float32([int(key)]).tobytes() for key in tensors}))
    assert load_state_dict(path, said.append)["x"] == [1]
    assert said == [f"{path}: weights taken from 'model'; 'model_ema' holds others and was not read"]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["module.a", "module.b"], ["a", "b"]),
        (["_orig_mod.module.model.a", "_orig_mod.module.model.b"], ["a", "b"]),
        (["module.module.a"], ["a"]),
        (["module.a", "b"], ["module.a", "b"]),
        (["module.", "module.a"], ["module.", "module.a"]),
        (["n_averaged", "module.a"], ["n_averaged", "a"]),
        (["n_averaged"], ["n_averaged"]),
        (["n_averaged", "module._orig_mod.a"], ["n_averaged", "a"]),
        (["n_averaged", "model.a"], ["n_averaged", "model.a"]),
        (["n_averaged", "module.n_averaged"], ["n_averaged", "module.n_averaged"]),
        ([], []),
        (["modulex.a"], ["modulex.a"]),
    ],
)
def test_prefixes(names, expected):
    arrays = {key: np.array(number) for number, key in enumerate(names)}
    found = without_prefixes(arrays)
    assert list(found) == expected
    assert [int(array) for array in found.values()] == list(range(len(names)))


def test_prefixes_without_end_take_no_time():
    start = time.thread_time()
    assert list(without_prefixes({"module." * 80_000 + "w": np.array(0)})) == ["w"]
    assert time.thread_time() - start < 0.5


def test_ordered_dict_and_strings_of_python_2(tmp_path):
    tensor = Tensor("0", "float32", 1, (1,), (1,))
    pair = Raw(pickled([Raw(b"U\x01a"), tensor], legacy=True)[2:-1])
    value = Raw(pickled(call("collections", "OrderedDict", [pair], legacy=True), legacy=True)[2:-1])
    assert_same(load_bytes(tmp_path, legacy_bytes(value, {"0": (1, b"\0\0\x80?")})), {"a": np.ones(1, np.float32)})


# ---- what is refused ----


CANARY = """
from pathlib import Path

SONG = Path(__file__).with_name("song")
SONG.touch()  # an import sings


class Bird(list):
    def __init__(self, *arguments, **named): SONG.touch()
    def __new__(cls, *arguments, **named): SONG.touch(); return list.__new__(cls)
    def __setstate__(self, state): SONG.touch()
    def __setitem__(self, key, value): SONG.touch()
    def append(self, item): SONG.touch()
    def extend(self, items): SONG.touch()
    def add(self, item): SONG.touch()


def sing(*arguments): SONG.touch()


bird = Bird()
"""
SING, BIRD, OBJECT = name("canary", "sing"), name("canary", "Bird"), name("canary", "bird")
CALLS = {
    "GLOBAL": SING,
    "STACK_GLOBAL": b"\x8c\x06canary\x8c\x04sing\x93",
    "REDUCE": SING + b"K\1\x85R",
    "REDUCE of what a call gave": SING + b")R)R",
    "INST": b"(K\1icanary\nBird\n",
    "OBJ": b"(" + BIRD + b"K\1o",
    "NEWOBJ": BIRD + b")\x81",
    "NEWOBJ_EX": BIRD + b")}\x92",
    "BUILD": OBJECT + b")RNb",
    "BUILD on a name": BIRD + b")\x81}b",
    "APPEND": BIRD + b")\x81K\1a",
    "APPENDS": BIRD + b")\x81(K\1K\2e",
    "ADDITEMS": BIRD + b")\x81(K\1K\2\x90",
    "SETITEM": BIRD + b")\x81K\0K\1s",
    "SETITEMS": BIRD + b")\x81(K\0K\1u",
    "EXT1": b"\x82\x01",
    "EXT2": b"\x83\x01\x02",
    "EXT4": b"\x84\x01\x02\x03\x04",
    "PERSID": b"Pcanary\n",
    "BINPERSID": BIRD + b"Q",
}


@pytest.mark.parametrize("code", CALLS.values(), ids=CALLS)
def test_a_canary_for_each_opcode_that_could_call(tmp_path, monkeypatch, code):
    (tmp_path / "canary.py").write_text(CANARY)
    monkeypatch.syspath_prepend(str(tmp_path))
    tensors, storages = described(ARRAYS)
    content = {key: raw for key, (_, raw) in storages.items()}
    for value in ({"model": tensors, "bird": Raw(code)}, {"bird": Raw(code), "model": tensors}):
        for data in (zip_bytes(value, content), legacy_bytes({"bird": Raw(code)}, {})):
            with contextlib.suppress(JaxnextError):
                assert_same(load_bytes(tmp_path, data), ARRAYS)
    assert "canary" not in sys.modules
    assert not (tmp_path / "song").exists()
    # The canary does sing where a pickle is unpickled.
    if not code.startswith((b"\x82", b"\x83", b"\x84", b"P")) and not code.endswith(b"Q"):
        with contextlib.suppress(Exception):
            pickle.loads(b"\x80\x02" + code + b".")
        assert (tmp_path / "song").exists()
    sys.modules.pop("canary", None)


def test_what_is_not_known_is_named_in_one_line(tmp_path):
    tensors, storages = described(ARRAYS)
    value = {
        "model": tensors,
        "criterion": call("torch.nn.modules.loss", "CrossEntropyLoss"),
        "a": Raw(b"(X\x02\0\0\0lsiposix\nsystem\n"),
        "b": call("a\x1b[31m", "b"),
    }
    said: list[str] = []
    path = tmp_path / "file.pth"
    path.write_bytes(zip_bytes(value, {key: raw for key, (_, raw) in storages.items()}))
    assert_same(load_state_dict(path, said.append), ARRAYS)
    names = r"torch.nn.modules.loss.CrossEntropyLoss, posix.system, 'a\x1b[31m.b'"
    assert said == [f"{path}: left aside, neither imported nor called: {names}"]


def test_a_pickle_that_is_no_file_of_torch(tmp_path):
    assert "it is a pickle of Python and not a file of torch.save" in refusal(tmp_path, pickle.dumps({"x": 1}))


def test_missing_folder_empty_and_foreign_files(tmp_path):
    with pytest.raises(JaxnextError, match=r"absent\.pth: no such file"):
        load_state_dict(tmp_path / "absent.pth")
    with pytest.raises(JaxnextError, match="not a file"):
        load_state_dict(tmp_path)
    with pytest.raises(JaxnextError, match=r"no such file|cannot be read"):
        load_state_dict(Path("a\0b"))
    assert "it is empty" in refusal(tmp_path, b"")
    assert "begins with b'version https://" in refusal(tmp_path, b"version https://git-lfs")
    assert "not PyTorch's: it has no data.pkl" in refusal(tmp_path, zip_bytes({}, {}, root="a/b"))


@pytest.mark.parametrize("value", [{}, {"epoch": 3, "net": {}}, [1], None, 4, {"model": {"model": {}}}])
def test_a_file_without_tensors(tmp_path, value):
    assert "it holds no tensors" in refusal(tmp_path, zip_bytes(value, {}))
    assert "it holds no tensors" in refusal(tmp_path, legacy_bytes(value, {}))
    assert "it holds no tensors" in refusal(tmp_path, save_safetensors({}))


def test_more_tensors_than_any_model_has(tmp_path):
    tensor = pickled(Tensor("0", "float32", 1, (1,), (1,)))[2:-1]
    for count, found in ((50_000, 50_000), (50_001, None)):
        names = b"".join(b"X\x05\0\0\0%05dh\1" % number for number in range(count - 1))
        code = Raw(b"}X\1\0\0\0x" + tensor + b"q\1s(" + names + b"u")
        data = zip_bytes(code, {"0": bytes(4)})
        if found:
            assert len(load_bytes(tmp_path, data)) == found
        else:
            assert "it holds more than 50,000 tensors" in refusal(tmp_path, data)


@pytest.mark.parametrize("length", [1000, 1001])
def test_names_longer_than_any_models(tmp_path, length):
    name = "a" * length
    tensor = Tensor("0", "float32", 1, (1,), (1,))
    arrays = {name: np.zeros(1, np.float32)}
    files = (zip_bytes({name: tensor}, {"0": bytes(4)}), save_safetensors(arrays))
    assert len(load_bytes(tmp_path, zip_bytes({"x": tensor, name: 3}, {"0": bytes(4)}))) == 1
    for data in files:
        if length == 1000:
            assert_same(load_bytes(tmp_path, data), arrays)
        else:
            assert f"its tensor '{'a' * 40}'... has a name of more than 1,000 characters" in refusal(tmp_path, data)


@pytest.mark.parametrize("protocol", [0, 1])
@pytest.mark.parametrize("zipped", [True, False])
def test_the_first_pickle_protocols(tmp_path, protocol, zipped):
    torch = pytest.importorskip("torch")
    path = tmp_path / "file.pth"
    torch.save({"x": torch.ones(2)}, path, pickle_protocol=protocol, _use_new_zipfile_serialization=zipped)
    assert refusal(tmp_path, path.read_bytes()) == (
        f"{path}: its pickle does not begin as those of protocols 2 to 5 do, which are read; PyTorch writes protocol 2 "
        "unless it is told otherwise, so load the file with PyTorch and save it again without pickle_protocol"
    )


def test_a_safetensors_file_that_is_cut_within_its_header(tmp_path):
    data = save_safetensors({"x": np.zeros(3, np.float32)})
    length = int.from_bytes(data[:8], "little")
    for end in (10, 7 + length):
        assert "it is a .safetensors file that is cut short within its header" in refusal(tmp_path, data[:end])
    assert "safetensors header is malformed" in refusal(tmp_path, data[: 8 + length])


# ---- mutated files ----


@pytest.mark.slow
def test_mutated_files_end_in_tensors_or_in_the_projects_error(tmp_path):
    counts = fuzz(2000, 0, tmp_path / "fuzz.pth")
    assert {family.__name__ for family in FAMILIES} == counts.keys()
    assert sum(count.dictionaries for count in counts.values()) > 100
    assert sum(count.errors for count in counts.values()) > 1000


@pytest.mark.parametrize(
    ("reader", "message"),
    [
        (lambda path: 1 / 0, "ZeroDivisionError"),
        (lambda path: {}, "an empty dictionary"),
        (lambda path: {"x": np.zeros(10**6)}, "'x' takes 8,000,000 bytes"),
        (lambda path: [bytes(10**6)] and {"x": np.zeros(1, np.int8)}, "bytes of memory for"),
    ],
)
def test_what_the_fuzzing_run_finds(tmp_path, monkeypatch, reader, message):
    monkeypatch.setattr(fuzz_state_dict, "load_state_dict", reader)
    with pytest.raises(AssertionError, match=message):
        fuzz(20, 0, tmp_path / "fuzz.pth")


def test_the_fuzzing_run_finds_what_is_slow(tmp_path, monkeypatch):
    monkeypatch.setattr(fuzz_state_dict, "MAX_SECONDS", 0.0)
    with pytest.raises(AssertionError, match=r"file 0 of seed 0 \(\w+\), .*fuzz\.pth: AssertionError: 0\.00 s"):
        fuzz(1, 0, tmp_path / "fuzz.pth")


@settings(max_examples=50, deadline=None)
@given(
    st.dictionaries(
        st.text(min_size=1, max_size=8).map(lambda text: f"x{text}"),
        st.tuples(st.sampled_from(DTYPES), st.lists(st.integers(0, 4), max_size=4)),
        min_size=1,
        max_size=5,
    )
)
def test_what_is_written_is_read(tmp_path_factory, tensors):
    folder = tmp_path_factory.mktemp("written")
    arrays = {
        key: (np.arange(np.prod(shape, dtype=int)) % 2).astype(dtype).reshape(shape)
        for key, (dtype, shape) in tensors.items()
    }
    assert_same(load_state_dict(save_zip(folder / "zip.pth", arrays)), arrays)
    assert_same(load_state_dict(save_legacy(folder / "legacy.pth", arrays)), arrays)


# ---- files that PyTorch itself wrote ----


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_a_training_checkpoint_of_torch(tmp_path, zipped, protocol):
    torch = pytest.importorskip("torch")
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3, groups=1), torch.nn.BatchNorm2d(4))
    optimizer = torch.optim.Adam(net.parameters())
    net(torch.randn(2, 3, 8, 8)).sum().backward()
    optimizer.step()
    base = torch.arange(12.0).reshape(3, 4)
    extra = {
        "transposed": base.t(),
        "slice": base[1:, ::2],
        "tied": base,
        "parameter": torch.nn.Parameter(torch.randn(2)),
        "half": torch.randn(3).half(),
        "brain": torch.randn(3).bfloat16(),
        "double": torch.randn(3, dtype=torch.float64),
        "flags": torch.tensor([True, False]),
        "expanded": torch.ones(1).expand(3),
        "channels_last": torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last),
        **{
            str(dtype): torch.tensor([1, 2], dtype=dtype)
            for dtype in (torch.int8, torch.uint8, torch.int16, torch.int32)
        },
        "unsigned": torch.tensor([1, 65535], dtype=torch.uint16),
    }
    state = {**net.state_dict(), **extra}
    checkpoint = {
        "epoch": 3,
        "args": argparse.Namespace(lr=0.1, sizes=[1, 2], size=torch.Size([2])),
        "best": np.float64(0.25),
        "count": np.int64(4),
        "optimizer": optimizer.state_dict(),
        "scheduler": torch.optim.lr_scheduler.MultiStepLR(optimizer, [1, 2]).state_dict(),
        "seen": {1, 2},
        "bytes": [b"", b"x", bytearray(), bytearray(b"x")],
        "numbers": [1j, range(3), slice(1, 2)],
        "containers": [collections.defaultdict(str, a="b"), collections.deque([1, 2], 3), collections.Counter("ab")],
        "paths": argparse.Namespace(p=Path("a/b"), q=[PureWindowsPath("c")]),
        "times": [datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC), datetime.timedelta(1)],
        "arrays": {"a": np.arange(6.0).reshape(2, 3), "b": np.arange(6).reshape(2, 3).T, "c": np.array(["x", None])},
        "model_state_dict": {f"module.{key}": value for key, value in state.items()},
    }
    path = tmp_path / "checkpoint.pth"
    torch.save(checkpoint, path, pickle_protocol=protocol, _use_new_zipfile_serialization=zipped)
    found = load_state_dict(path)
    assert list(found) == list(state)
    for key, tensor in state.items():
        expected = tensor.detach()
        if expected.dtype == torch.bfloat16:
            assert found[key].dtype == BFLOAT16
            np.testing.assert_array_equal(found[key].astype(np.float32), expected.float().numpy())
        else:
            assert found[key].dtype == expected.numpy().dtype
            np.testing.assert_array_equal(found[key], expected.numpy())
