"""Which state dict of a checkpoint is read, what is said of the others, and the line of PyTorch that saves it alone."""

import fractions
from typing import Any

import numpy as np
import pytest

from jaxnext.errors import JaxnextError
from jaxnext.porting.files.candidates import candidates
from jaxnext.porting.files.modules import Budget
from jaxnext.porting.files.pickle_names import Storage, Tensor
from jaxnext.porting.files.state_dict import load_state_dict
from jaxnext.porting.files.wrappers import WRAPPERS, Choice, resave_line
from jaxnext.porting.files.wrappers import choose as choose_of


def choose(value: Any) -> Choice:
    return choose_of(candidates(value), Budget(1000))


A, B, C = (Tensor(Storage(key, "float32", 1, None), "float32", 0, (1,), (1,)) for key in "abc")


@pytest.mark.parametrize(
    ("value", "expected", "note"),
    [
        ({"x": A, "epoch": 3}, {"x": A}, ""),
        ({"model": {"x": A, "y": B}}, {"x": A, "y": B}, ""),
        ({"state_dict": {"model": {"x": A}}}, {"x": A}, ""),
        ({"net": {"x": A}}, {"x": A}, ""),
        ({"state_dict": {}, "model_ema": {"x": A}}, {"x": A}, ""),
        ({"model.x": A, "model": {"name": "resnext"}}, {"model.x": A}, ""),
        (
            {"state_dict_ema": {"x": B}, "state_dict": {"x": A}},
            {"x": A},
            "weights taken from 'state_dict'; 'state_dict_ema' holds others and was not read",
        ),
        (
            {"model_ema": {"x": C}, "state_dict": {"model_ema": {"x": B}, "model": {"x": A}}},
            {"x": A},
            "weights taken from 'state_dict/model'; 'state_dict/model_ema', 'model_ema' hold others and were not read",
        ),
        # PyTorch's own example for ImageNet keeps its best accuracy as a tensor.
        (
            {"state_dict": {"x": A}, "best_acc1": B},
            {"x": A},
            "weights taken from 'state_dict'; 'best_acc1' beside it was not read",
        ),
        (
            {"state_dict": {"x": A}, **{f"t{number}": B for number in range(7)}},
            {"x": A},
            "weights taken from 'state_dict'; 't0', 't1', 't2', 't3', 't4' and 2 more beside it were not read",
        ),
    ],
)
def test_the_choice(value: Any, expected: dict[str, Tensor], note: str) -> None:
    assert choose(value) == (expected, note)


@pytest.mark.parametrize(
    ("value", "bare", "place"),
    [
        ({"a": A, "model_ema": {"a": B}}, "a", "model_ema"),
        ({"conv1.weight": A, "model": {"x": B}}, "conv1.weight", "model"),
        ({"model": {"a.b": A, "state_dict": {"x": B}}}, "a.b", "model/state_dict"),
    ],
)
def test_a_bare_and_a_wrapped_state_dict_are_refused(value: Any, bare: str, place: str) -> None:
    with pytest.raises(JaxnextError) as caught:
        choose(value)
    assert str(caught.value) == (
        f"it holds two state dicts, one bare (with '{bare}') and one under '{place}': expected one of them, so save "
        "that which is meant alone"
    )


def test_the_same_dict_under_two_names_is_one() -> None:
    tensors = {"x": A}
    assert choose({"model": tensors, "model_ema": tensors}) == (tensors, "")
    value: dict[str, Any] = {"x": A}
    value["model"] = value
    assert choose(value) == ({"x": A}, "")


@pytest.mark.parametrize("value", [{}, [A], {"model": [A]}])
def test_without_tensors(value: Any) -> None:
    with pytest.raises(JaxnextError, match="it holds no tensors, neither bare nor under state_dict, "):
        choose(value)


def test_several_under_unknown_keys() -> None:
    with pytest.raises(JaxnextError, match=r"it holds several dicts of tensors, .*: found 'a', 'b/0'"):
        choose({"a": {"x": A}, "b": [{"x": B}]})


# ---- the line of PyTorch ----


def resaved(path: Any, value: Any) -> dict[str, np.ndarray]:
    """What is read of the file that the line of PyTorch writes."""
    torch = pytest.importorskip("torch")
    torch.save(value, path)
    exec(resave_line(path), {})
    return load_state_dict(path.with_name(f"{path.stem}.tensors.pth"))


REFUSED = fractions.Fraction(1, 2)


@pytest.mark.parametrize("wrapper", [None, *WRAPPERS])
@pytest.mark.parametrize("module", [True, False])
def test_the_line_saves_modules_and_state_dicts(tmp_path, wrapper, module) -> None:
    torch = pytest.importorskip("torch")
    net = torch.nn.Linear(2, 3)
    weights = net if module else net.state_dict()
    bare = net if module else {**weights, "x": REFUSED}
    value = bare if wrapper is None else {wrapper: weights, "x": REFUSED}
    found = resaved(tmp_path / "it's.pth", value)
    assert list(found) == ["weight", "bias"]
    np.testing.assert_array_equal(found["weight"], net.weight.detach().numpy())


def test_the_line_saves_what_the_reader_would_choose(tmp_path, capsys) -> None:
    torch = pytest.importorskip("torch")
    w, other = {"a": torch.ones(2)}, {"a": torch.zeros(2)}
    for number, value in enumerate(
        (
            {"state_dict": {}, "model_ema": w},
            {"state_dict": {"model": w}},
            {"state_dict": {"model": w, "model_ema": other}, "model": other},
            {"model": w, "optimizer": {"state": {0: torch.zeros(1)}}, "best": torch.zeros(1)},
        )
    ):
        assert resaved(tmp_path / f"{number}.pth", {**value, "x": REFUSED})["a"].tolist() == [1, 1]
    assert capsys.readouterr().out == ""
    with pytest.raises(JaxnextError, match="it holds two state dicts"):
        resaved(tmp_path / "both.pth", {**w, "model": other, "x": REFUSED})


def test_the_line_leaves_out_what_is_not_read_and_says_so(tmp_path, capsys) -> None:
    torch = pytest.importorskip("torch")
    marked = torch.ones(2)
    marked.note = "an attribute"
    value = {
        "complex": torch.ones(2, dtype=torch.complex64),
        "float8": torch.ones(2).to(torch.float8_e4m3fn),
        "sparse": torch.eye(2).to_sparse(),
        "marked": marked,
        "unsigned": torch.tensor([65535], dtype=torch.uint16),
        "brain": torch.nn.Parameter(torch.ones(1, dtype=torch.bfloat16)),
    }
    found = resaved(tmp_path / "a.pth", value)
    with pytest.raises(JaxnextError) as caught:
        load_state_dict(tmp_path / "a.pth")
    assert str(caught.value) == (
        f"{tmp_path / 'a.pth'}: refused, since the tensor 'complex' (and 2 more) needs torch.complex64, which is "
        f"neither read nor called; if you trust the file, this line of PyTorch saves its readable tensors alone: "
        f"{resave_line(tmp_path / 'a.pth')}"
    )
    assert list(found) == ["marked", "unsigned", "brain"]
    assert found["marked"].tolist() == [1, 1]
    assert capsys.readouterr().out == "left out, as they are not read: ['complex', 'float8', 'sparse']\n"
