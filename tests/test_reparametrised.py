"""Weights in parts; ``test_ways_of_saving.py`` compares with PyTorch."""

import numpy as np
import pytest

from jaxnext.errors import JaxnextError
from jaxnext.porting.reparametrised import Product, multiply_out, together, unknown_parametrisation

V = np.array([[3.0, 4.0], [0.0, 2.0]], np.float32)
G = np.array([[10.0], [1.0]], np.float32)


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("pruned", ("a.weight_orig", "a.weight_mask")),
        ("weight norm", ("a.weight_g", "a.weight_v")),
        ("weight norm", ("a.parametrizations.weight.original0", "a.parametrizations.weight.original1")),
        ("spectral norm", ("a.weight_orig", "a.weight_u", "a.weight_v")),
        (
            "spectral norm",
            ("a.parametrizations.weight.original", "a.parametrizations.weight.0._u", "a.parametrizations.weight.0._v"),
        ),
    ],
)
def test_parts_of_a_weight(kind: str, names: tuple[str, ...]) -> None:
    found = together({"a.bias": G, **dict.fromkeys(names, V), "b": G})
    assert list(found) == ["a.bias", "a.weight", "b"]
    product = found["a.weight"]
    assert isinstance(product, Product)
    assert (product.kind, product.shape, len(product.parts)) == (kind, (2, 2), len(names))


def test_parts_that_make_no_weight_stay() -> None:
    alone = "c.parametrizations.bias.original"
    tensors = {"a.weight_orig": V, "b.weight_g": G, "b.weight_v": V, "b.weight": V, alone: G}
    assert together(tensors) == tensors
    assert unknown_parametrisation(tensors) == alone
    assert unknown_parametrisation({"a.weight": V}) is None
    assert list(together({f"parametrizations.weight.original{number}": V for number in (0, 1)})) == ["weight"]


def test_products() -> None:
    mask = np.array([[1, 0], [1, 1]], np.float32)
    assert multiply_out("pruned", {"orig": V, "mask": mask}).tolist() == [[3, 0], [0, 2]]
    for names in (("g", "v"), ("original0", "original1")):
        found = multiply_out("weight norm", dict(zip(names, (G, V), strict=True)))
        assert found.tolist() == [[6, 8], [0, 1]]
        assert found.dtype == np.float32
    # One norm over all of the weight.
    assert multiply_out("weight norm", {"g": np.float32(np.sqrt(29)), "v": V}) == pytest.approx(V)
    u, v = np.array([1, 0], np.float32), np.array([0, 1], np.float32)
    assert multiply_out("spectral norm", {"orig": V, "u": u, "v": v}) == pytest.approx(V / 4)
    assert multiply_out("spectral norm", {"original": V, "_u": u, "_v": v}) == pytest.approx(V / 4)


def test_parts_that_do_not_fit() -> None:
    with pytest.raises(JaxnextError, match=r"its parts \(orig, mask\) do not fit each other"):
        multiply_out("pruned", {"orig": V, "mask": np.ones((3, 2), np.float32)})
    with pytest.raises(JaxnextError, match=r"its parts \(orig, u, v\) do not fit each other"):
        multiply_out("spectral norm", {"orig": V, "u": np.ones(3, np.float32), "v": np.ones(2, np.float32)})
