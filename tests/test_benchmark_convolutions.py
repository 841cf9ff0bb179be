import json
import time
import typing

import jax
import numpy as np
import pytest
from benchmarks import convolutions
from benchmarks.convolutions import Options, run, table

from jaxnext.ops.grouped_conv import Formulation, grouped_conv

SHAPE = (6, 5, 16)
SMALL = {"batch_size": 2, "groups": 4, "rounds": 1, "shapes": (SHAPE,)}
FORMULATIONS = typing.get_args(Formulation)


def test_result_and_table():
    pytest.importorskip("torch")
    result = run(Options(**SMALL), cores=1, clock=time.perf_counter, say=lambda line: None)
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    shape = result["shapes"]["6x5x16"]
    for direction in ("forward", "forward_backward"):
        records = shape[direction]
        assert list(records) == [*FORMULATIONS, "rule", "torch_contiguous", "torch_channels_last"]
        better = min(records[name]["median_seconds"] for name in convolutions.TORCH)
        assert records["rule"]["ratio_to_torch"] == records["rule"]["median_seconds"] / better
        assert shape["rule_picks"][direction] in (*FORMULATIONS, None)
    assert shape["forward_backward"]["native"] is None
    assert shape["forward"]["pallas"] is shape["forward_backward"]["pallas"] is None
    assert shape["left_out"]["pallas forward"] == "Pallas is interpreted on a CPU, --all measures it"
    why = shape["left_out"]["native forward_backward"]
    assert "--all" in why
    text = table(result)
    assert f"native forward_backward: left out, {why}" in text
    assert text.startswith("grouped 3x3 convolution, batch 2, 4 groups, stride 1, float32, 1 rounds; ")


def test_everything():
    pytest.importorskip("torch")
    result = run(Options(**SMALL, everything=True), cores=1, clock=time.perf_counter, say=lambda line: None)
    for name in ("native", "pallas"):
        assert result["shapes"]["6x5x16"]["forward_backward"][name]["median_seconds"] > 0


def test_a_formulation_that_refuses_is_left_out_with_its_reason(monkeypatch):
    pytest.importorskip("torch")

    def refuses(x, kernel, *, formulation, **others):
        if formulation == "packed32":
            raise ValueError("not for these\nshapes")
        return grouped_conv(x, kernel, formulation="native", **others)

    monkeypatch.setattr(convolutions, "grouped_conv", refuses)
    result = run(Options(**SMALL), cores=1, clock=time.perf_counter, say=lambda line: None)
    shape = result["shapes"]["6x5x16"]
    assert shape["forward"]["packed32"] is None
    assert shape["left_out"]["packed32 forward"] == "ValueError: not for these"
    # All of them run the native program here, and the native gradient is left out: the first that is measured counts.
    assert shape["rule_picks"] == {"forward": "native", "forward_backward": "packed64"}


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("layout", convolutions.TORCH)
def test_both_sides_compute_the_same(stride, layout):
    torch = pytest.importorskip("torch")
    options = Options(batch_size=2, groups=4, stride=stride)
    arrays = convolutions._arrays(SHAPE, options)
    for direction in convolutions.DIRECTIONS:
        ours = convolutions._jax_candidate("rule", direction, arrays, options, time.perf_counter).candidate
        theirs = convolutions._torch_candidate(torch, "cpu", layout, direction, arrays, options)
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
        return convolutions._program(jax.jit(function).lower(x).compile().as_text())

    def doubled(y):
        return (y @ y) * 2

    assert program(lambda x: (x @ x) * 2) == program(doubled)
    assert program(lambda x: (x @ x) * 2) != program(lambda x: (x @ x) * 3)
