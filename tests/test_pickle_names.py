"""The names that a file may mention, and what their calls give."""

import pytest

from jaxnext.errors import JaxnextError
from jaxnext.porting.files.pickle_names import (
    INERT,
    Global,
    Placeholder,
    Storage,
    Tensor,
    Unread,
    call,
    find,
    shown,
)

STORAGE = Storage("0", "float32", 6, None)
BYTES = Storage("0", None, 24, None)


def refusal(attribute: str, *args: object) -> str:
    with pytest.raises(JaxnextError) as caught:
        call(find("torch._utils", attribute), args)
    return str(caught.value)


@pytest.mark.parametrize(
    ("module", "name", "full"),
    [
        ("os", "system", "os.system"),
        ("builtins", "eval", "builtins.eval"),
        ("__builtin__", "getattr", "builtins.getattr"),
        ("collections", "OrderedDict.__init__", "collections.OrderedDict.__init__"),
    ],
)
def test_an_unknown_name_is_text_and_its_call_a_placeholder_with_its_arguments(module, name, full):
    found = find(module, name)
    assert found == Global(full, known=False)
    made = call(found, ("touch", 3))
    assert isinstance(made, Placeholder)
    assert (made.name, made.arguments, made.state, made.items, made.elements) == (full, ("touch", 3), None, None, None)
    again = call(made, ())
    assert isinstance(again, Placeholder)
    assert again.name == full


def test_a_long_name_is_refused_and_one_that_a_terminal_would_obey_is_shown_escaped():
    with pytest.raises(JaxnextError, match="the name of an object has more than 1,000 characters"):
        find("a" * 1001, "b")
    assert shown("a\x1b[31m.b") == r"'a\x1b[31m.b'"
    assert shown("a" * 1000) == f"'{'a' * 200}'"


@pytest.mark.parametrize(
    ("function", "arguments", "name"),
    [
        (("torch._utils", "_rebuild_qtensor"), (STORAGE, 0, (1,), (1,)), "torch._utils._rebuild_qtensor"),
        (("torch._utils", "_rebuild_sparse_tensor"), ("layout", ()), "torch._utils._rebuild_sparse_tensor"),
        (("mine", "rebuild"), (STORAGE,), "mine.rebuild"),
        (("torch._utils", "_rebuild_tensor"), (Unread("torch.storage.X"), 0, (1,), (1,)), "torch.storage.X"),
        (
            ("torch._utils", "_rebuild_tensor"),
            (Storage("0", "complex64", 1, None), 0, (1,), (1,)),
            "torch.complex64",
        ),
        (
            ("torch._utils", "_rebuild_tensor_v3"),
            (BYTES, 0, (1,), (1,), False, {}, Global("torch.float8_e4m3fn", known=False)),
            "torch.float8_e4m3fn",
        ),
        (
            ("torch._tensor", "_rebuild_from_type_v2"),
            (Global("torch._utils._rebuild_tensor_v2"), Global("mine.Tensor", known=False), (), {}),
            "mine.Tensor",
        ),
    ],
)
def test_a_tensor_that_only_an_unknown_name_could_rebuild(function, arguments, name):
    assert call(find(*function), arguments) == Unread(name)


def test_a_tensor_with_attributes():
    function, kind = Global("torch._utils._rebuild_tensor"), Global("torch._tensor.Tensor")
    found = call(
        find("torch._tensor", "_rebuild_from_type_v2"), (function, kind, (STORAGE, 1, (2,), (1,)), {"note": 3})
    )
    assert found == Tensor(STORAGE, "float32", 1, (2,), (1,))


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("argparse", "Namespace"),
        ("numpy", "dtype"),
        ("numpy.core.multiarray", "scalar"),
        ("numpy._core.multiarray", "scalar"),
        ("_codecs", "encode"),
        ("torch", "device"),
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
    assert call(find("collections", "OrderedDict"), ([["a", 1], ("b", 2), (3, 4)],)) == {"a": 1, "b": 2, 3: 4}
    assert call(find("torch", "Size"), ((1, 2),)) == (1, 2)
    assert call(find("builtins", "set"), ([1, "a"],)) == [1, "a"]
    assert call(find("builtins", "set"), ("a",)) is INERT


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
    assert "has no dtype" in refusal("_rebuild_tensor_v3", BYTES, 0, (1,), (1,), False, {}, "float32")
    with pytest.raises(JaxnextError, match="not made of pairs"):
        call(find("collections", "OrderedDict"), ([1],))
    with pytest.raises(JaxnextError, match="not a function"):
        call(find("torch", "FloatStorage"), ())
