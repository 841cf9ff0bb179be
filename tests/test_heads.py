"""Other people's heads, by their tensors."""

import numpy as np
import pytest

from jaxnext.errors import JaxnextError
from jaxnext.porting.heads import (
    fill_biases,
    head_of,
    layers_beside,
    proposal,
    renamed_head,
    summed_up,
    take_head,
    without_head,
)


def linear(name: str, inputs: int, outputs: int) -> dict[str, np.ndarray]:
    return {f"{name}.weight": np.zeros((outputs, inputs)), f"{name}.bias": np.zeros(outputs)}


def norm(name: str, width: int) -> dict[str, np.ndarray]:
    return {f"{name}.{leaf}": np.zeros(width) for leaf in ("weight", "bias", "running_mean", "running_var")}


def test_a_linear_head_wherever_it_is() -> None:
    assert head_of({"conv1.weight": np.zeros(1)}) is None
    for name in ("fc", "fc.1", "fc.dense"):
        head = head_of(linear(name, 8, 3))
        assert head is not None
        assert (head.inputs, head.widths, head.outputs, str(head)) == (8, (), 3, "8 → 3")
        assert list(renamed_head(linear(name, 8, 3), head)) == ["fc.weight", "fc.bias"]


def test_hidden_layers_in_the_order_of_their_numbers() -> None:
    # As safetensors sorts them.
    tensors = linear("fc.10", 4, 3) | linear("fc.2", 8, 6) | linear("fc.6", 6, 4)
    head = head_of(tensors)
    assert head is not None
    assert (head.widths, head.batch_norm, head.bare) == ((6, 4), False, False)
    assert head.names == {"fc.2": "fc.0", "fc.6": "fc.3", "fc.10": "fc.6"}
    assert proposal(head, ("silu", "relu")) == (
        "--model.head fc --model.head.widths '[6, 4]' --model.head.batch_norm false --model.head.activation NAME "
        "(the activation is not in the file: NAME is one of silu, relu)"
    )


def test_hidden_layers_with_batch_norm() -> None:
    tensors = linear("fc.a", 8, 6) | norm("fc.b", 6) | linear("fc.c", 6, 3)
    head = head_of(tensors)
    assert head is not None
    assert (str(head), head.bare) == ("8 → 6 → 3, with batch norm", False)
    assert head.names == {"fc.a": "fc.0", "fc.b": "fc.1", "fc.c": "fc.4"}
    assert "--model.head.widths '[6]' --model.head.activation NAME" in proposal(head, ())


def test_hidden_layers_with_nothing_between() -> None:
    head = head_of(linear("fc.0", 8, 6) | linear("fc.1", 6, 3))
    assert head is not None
    assert head.bare
    assert proposal(head, ()).endswith("--model.head.batch_norm false --model.head.activation identity")


@pytest.mark.parametrize(
    "tensors",
    [
        norm("fc.0", 8) | linear("fc.1", 8, 3),
        {"fc.0.weight": np.zeros(8), "fc.0.bias": np.zeros(8)} | linear("fc.1", 8, 3),
        linear("fc.0", 8, 6) | linear("fc.3", 5, 3),
        {"fc.scale": np.zeros(3)},
        linear("fc.0", 8, 6) | norm("fc.1", 6) | linear("fc.4", 6, 5) | linear("fc.6", 5, 3),
    ],
)
def test_heads_of_another_kind(tensors) -> None:
    with pytest.raises(JaxnextError, match=r"its head is not made of linear layers, .*--head none ports the backbone"):
        head_of(tensors)


def test_a_head_beside_the_backbone() -> None:
    body = {"conv1.weight": np.zeros(1)}
    tensors, beside, alias = take_head(body, linear("classifier", 8, 3) | {"queue": np.zeros((2, 2))})
    assert (list(tensors), list(beside), alias) == (["conv1.weight", "fc.weight", "fc.bias"], ["queue"], "classifier")
    # One that it has stays, and what has no matrix is none.
    own = body | linear("fc", 8, 3)
    other = linear("classifier", 8, 3)
    assert take_head(own, other) == (own, other, "")
    assert take_head(body, {"head.scale": np.zeros(3)})[2] == ""
    assert list(without_head(own)) == ["conv1.weight"]


def test_biases_that_are_missing() -> None:
    weights = {"fc.0.weight": np.zeros((2, 3), np.float32), "fc.1.weight": np.zeros(2), "x.weight": np.zeros((2, 3))}
    found, filled = fill_biases(weights)
    assert filled == ["fc.0.bias"]
    assert list(found) == ["fc.0.weight", "fc.0.bias", "fc.1.weight", "x.weight"]
    assert found["fc.0.bias"].tolist() == [0, 0]
    assert found["fc.0.bias"].dtype == np.float32


def test_what_may_be_layers_and_families_in_one_line() -> None:
    beside = {"neck.weight": np.zeros((2, 2)), "queue": np.zeros((2, 2)), "loss.weight": np.zeros(2)}
    assert layers_beside(beside) == ["neck.weight"]
    assert summed_up(["a.0", "b", "a.1", "a.2", "a.3", "c.0"]) == "a.* (4 tensors), b, c.0"
    assert summed_up([f"x{number}" for number in range(14)]).endswith("x11 and 2 more")
