import argparse
import json

import jax
import numpy as np
import pytest
from benchmarks import command, grouped_conv

import jaxnext.ops.grouped_conv

SHAPE = (6, 5, 16)
WORDS = "grouped_conv --batch_size 2 --groups 4 --rounds 1 --shapes 6x5x16"


def options(words: str = "") -> argparse.Namespace:
    return command.parse([*WORDS.split(), *words.split()])


def run(words: str = "") -> dict:
    return grouped_conv.run(options(words), lambda line: None)


def test_result_and_table():
    pytest.importorskip("torch")
    result = run("--formulations native packed64 pallas")
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    shape = result["shapes"]["6x5x16"]
    for direction in ("forward", "forward_backward"):
        records = shape[direction]
        assert list(records) == ["native", "packed64", "pallas", "rule", "torch_contiguous", "torch_channels_last"]
        better = min(records[name]["median_seconds"] for name in grouped_conv.TORCH)
        assert records["rule"]["ratio_to_torch"] == records["rule"]["median_seconds"] / better
        assert (
            grouped_conv.summary(result)[f"6x5x16, {direction}, the rule's time over PyTorch's"]
            == (records["rule"]["ratio_to_torch"])
        )
    assert shape["forward_backward"]["native"] is None
    assert shape["left_out"]["pallas forward"] == "Pallas is interpreted on a CPU, --all measures it"
    why = shape["left_out"]["native forward_backward"]
    assert "--all" in why
    text = grouped_conv.table(result)
    assert f"native forward_backward: left out, {why}" in text
    assert text.startswith("grouped 3x3 convolution, batch 2, 4 groups, stride 1, float32, 1 rounds; ")


def test_a_formulation_that_refuses_is_left_out_with_its_reason(monkeypatch):
    pytest.importorskip("torch")
    original = jaxnext.ops.grouped_conv.grouped_conv

    def refuses(x, kernel, *, formulation, **others):
        if formulation == "packed32":
            raise ValueError("not for these\nshapes")
        return original(x, kernel, formulation="packed64", **others)

    monkeypatch.setattr(jaxnext.ops.grouped_conv, "grouped_conv", refuses)
    shape = run("--formulations packed32 packed64")["shapes"]["6x5x16"]
    assert shape["forward"]["packed32"] is None
    assert shape["left_out"]["packed32 forward"] == "ValueError: not for these"
    assert shape["rule_picks"] == {"forward": "packed64", "forward_backward": "packed64"}


def test_no_more_is_compiled_after_the_given_seconds():
    pytest.importorskip("torch")
    shape = run("--formulations packed64 --seconds 0")["shapes"]["6x5x16"]
    assert shape["left_out"]["packed64 forward"] == "the 0 s for compilations were over"
    assert shape["forward"]["rule"]["median_seconds"] > 0


@pytest.mark.parametrize(("stride", "layout"), [(1, "torch_contiguous"), (2, "torch_channels_last")])
def test_both_sides_compute_the_same(stride, layout):
    torch = pytest.importorskip("torch")
    given = options(f"--stride {stride}")
    arrays = grouped_conv._arrays(SHAPE, given)
    for direction in grouped_conv.DIRECTIONS:
        ours = grouped_conv._jax_candidate("rule", direction, arrays, given).candidate
        theirs = grouped_conv._torch_candidate(torch, "cpu", layout, direction, arrays, given)
        found, expected = ours.call(), theirs.call()
        if direction == "forward":
            pairs = [(found, expected, (0, 2, 3, 1))]
        else:
            pairs = [(found[0], expected[0], (0, 2, 3, 1)), (found[1][0], expected[1][0], (0, 2, 3, 1))]
            pairs.append((found[1][1], expected[1][1], (2, 3, 1, 0)))
        for one, other, axes in pairs:
            np.testing.assert_allclose(one, other.detach().permute(axes).numpy(), rtol=1e-4, atol=1e-4)


def test_programs_are_compared_without_names_and_source_lines():
    x = np.ones((4, 4), np.float32)

    def program(function) -> str:
        return grouped_conv._program(jax.jit(function).lower(x).compile().as_text())

    def doubled(y):
        return (y @ y) * 2

    assert program(lambda x: (x @ x) * 2) == program(doubled)
    assert program(lambda x: (x @ x) * 2) != program(lambda x: (x @ x) * 3)
