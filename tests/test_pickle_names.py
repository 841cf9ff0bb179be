"""The names that a file may mention, and what their calls give."""

import pytest

from jaxnext.errors import JaxnextError
from jaxnext.porting.files.pickle_names import INERT, Global, RefusedGlobalError, Storage, Tensor, call, find

STORAGE = Storage("0", "float32", 6, None)
BYTES = Storage("0", None, 24, None)


def refusal(attribute: str, *args: object) -> str:
    with pytest.raises(JaxnextError) as caught:
        call(find("torch._utils", attribute), args)
    return str(caught.value)


@pytest.mark.parametrize(
    ("module", "name", "shown"),
    [
        ("os", "system", "os.system"),
        ("builtins", "eval", "builtins.eval"),
        ("__builtin__", "getattr", "builtins.getattr"),
        ("torch", "ComplexFloatStorage", "torch.ComplexFloatStorage"),
        ("collections", "OrderedDict.__init__", "collections.OrderedDict.__init__"),
        ("a\x1b[31m", "b", r"'a\x1b[31m.b'"),
    ],
)
def test_refused_names(module, name, shown):
    with pytest.raises(RefusedGlobalError, match="neither a tensor nor plain data") as caught:
        find(module, name)
    assert caught.value.name == shown


def test_a_long_name_is_cut():
    with pytest.raises(RefusedGlobalError) as caught:
        find("a" * 10_000, "b")
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("argparse", "Namespace"),
        ("numpy", "dtype"),
        ("numpy.core.multiarray", "scalar"),
        ("numpy._core.multiarray", "scalar"),
        ("_codecs", "encode"),
        ("torch", "device"),
        ("builtins", "set"),
        ("collections", "Counter"),
        ("collections", "deque"),
        ("__builtin__", "xrange"),
        ("builtins", "complex"),
        ("pathlib", "PosixPath"),
        ("pathlib._local", "PosixPath"),
        ("numpy.core.multiarray", "_reconstruct"),
        ("numpy._core.numeric", "_frombuffer"),
    ],
)
def test_inert_data(module, name):
    assert call(find(module, name), ("anything", 3)) is INERT


def test_tensors():
    expected = Tensor(STORAGE, "float32", 1, (2,), (1,))
    plain = call(find("torch._utils", "_rebuild_tensor"), (STORAGE, 1, (2,), (1,)))
    assert plain == expected
    assert call(find("torch._utils", "_rebuild_tensor_v2"), (STORAGE, 1, (2,), (1,), True, {})) == expected
    assert call(find("torch._utils", "_rebuild_parameter"), (plain, True, {})) == expected
    third = (BYTES, 1, (2,), (1,), False, {}, Global("torch.uint16"))
    assert call(find("torch._utils", "_rebuild_tensor_v3"), third) == Tensor(BYTES, "uint16", 1, (2,), (1,))


def test_containers():
    assert call(find("collections", "OrderedDict"), ()) == {}
    assert call(find("collections", "OrderedDict"), ([["a", 1], ("b", 2), (3, 4)],)) == {"a": 1, "b": 2}
    assert call(find("torch", "Size"), ((1, 2),)) == (1, 2)


def test_calls_with_wrong_arguments():
    assert "does not have 6 or 7" in refusal("_rebuild_tensor_v2", STORAGE)
    assert "does not have 4" in refusal("_rebuild_tensor")
    assert "no storage" in refusal("_rebuild_tensor", "0", 0, (1,), (1,))
    assert "whole number from 0" in refusal("_rebuild_tensor", STORAGE, True, (1,), (1,))
    assert "whole number from 0" in refusal("_rebuild_tensor", STORAGE, 0, (1.0,), (1,))
    assert "whole number from 0" in refusal("_rebuild_tensor", STORAGE, -1, (1,), (1,))
    assert "not a tuple" in refusal("_rebuild_tensor", STORAGE, 0, [1], (1,))
    assert "no dtype" in refusal("_rebuild_tensor", BYTES, 0, (1,), (1,))
    assert "metadata" in refusal("_rebuild_tensor_v2", STORAGE, 0, (1,), (1,), False, {}, {"neg": True})
    assert "a tensor and 2 or 3" in refusal("_rebuild_parameter", STORAGE, True, {})
    assert "no dtype that is read" in refusal(
        "_rebuild_tensor_v3", BYTES, 0, (1,), (1,), False, {}, Global("torch.complex64")
    )
    with pytest.raises(JaxnextError, match="not made of pairs"):
        call(find("collections", "OrderedDict"), ([1],))
    with pytest.raises(JaxnextError, match="not a function"):
        call(find("torch", "FloatStorage"), ())
