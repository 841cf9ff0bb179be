"""Strict both ways: what is filled, what is new, what may be left out, and one error for everything else."""

import ml_dtypes
import numpy as np
import pytest
from model_leaves import Leaves, leaves_of

from jaxnext.errors import JaxnextError
from jaxnext.porting.merge import merge, source_classes
from jaxnext.porting.torchvision import torch_shape, weight_map

PLAIN = leaves_of()
CBAM = leaves_of(attention=True)
FC_CBAM = leaves_of(attention=True, hidden=(6, 4))


def source_for(leaves: Leaves, seed: int = 0) -> dict[str, np.ndarray]:
    """A state dict with random values for every leaf."""
    draw = np.random.default_rng(seed)
    source = {}
    for path, entry in weight_map(leaves).items():
        if entry.transform == "counter":
            source[entry.source] = np.array(draw.integers(1, 100))
        else:
            shape = torch_shape(entry.transform, leaves[path][0])
            source[entry.source] = draw.standard_normal(shape).astype(np.float32)
    return source


def refusal(target: Leaves, source: dict[str, np.ndarray], require_head: bool = False) -> list[str]:
    with pytest.raises(JaxnextError) as caught:
        merge(target, source, name="weights.pth", require_head=require_head)
    first, *lines = str(caught.value).splitlines()
    assert first.startswith(f"weights.pth: does not fit the model: {len(lines)} mismatch")
    return [first, *(line.strip() for line in lines)]


@pytest.mark.parametrize("leaves", [PLAIN, CBAM, leaves_of(hidden=(6, 4)), FC_CBAM, leaves_of(squeeze=4)])
def test_a_source_of_the_same_setting_fills_everything(leaves):
    source = source_for(leaves)
    merged = merge(leaves, source, name="weights.pth")
    assert list(merged.filled) == list(leaves)
    assert merged.new == ()
    assert merged.left_out == ()
    assert merged.parts == tuple(
        part for part in ("backbone", "attention", "head") if any(p[1] == part for p in leaves)
    )
    for path, (shape, dtype) in leaves.items():
        array = merged.filled[path]
        assert (array.shape, array.dtype) == (shape, dtype)
        assert array.flags.c_contiguous
        assert array.flags.writeable
        assert np.sort(array, None).tolist() == np.sort(source[weight_map(leaves)[path].source], None).tolist()


def test_values_are_transposed():
    source = source_for(FC_CBAM)
    filled = merge(FC_CBAM, source, name="weights.pth").filled
    kernel = filled["params", "backbone", "stage3_block1", "conv2", "kernel"]
    np.testing.assert_array_equal(kernel, np.einsum("oihw->hwio", source["layer2.0.conv2.weight"]))
    np.testing.assert_array_equal(filled["params", "head", "hidden1", "kernel"], source["fc.0.weight"].T)
    count = filled["batch_stats", "head", "norm2", "num_batches_tracked"]
    assert (count.dtype, int(count)) == (np.int32, int(source["fc.5.num_batches_tracked"]))


def test_an_imagenet_source_leaves_attention_and_head_new():
    merged = merge(FC_CBAM, source_for(leaves_of(classes=1000)), name="weights.pth")
    assert merged.left_out == ("fc.weight", "fc.bias")
    assert merged.parts == ("backbone",)
    assert set(merged.new) == {path for path in FC_CBAM if path[1] != "backbone"}
    assert set(merged.filled) == {path for path in FC_CBAM if path[1] == "backbone"}


def test_a_linear_head_of_the_same_size_is_used_and_of_another_is_left_out():
    source = source_for(leaves_of(classes=1000))
    assert merge(leaves_of(classes=1000), source, name="x").parts == ("backbone", "head")
    merged = merge(PLAIN, source, name="x")
    assert merged.left_out == ("fc.weight", "fc.bias")
    assert merged.new == (("params", "head", "output", "kernel"), ("params", "head", "output", "bias"))


def test_a_source_without_any_head():
    source = {key: array for key, array in source_for(PLAIN).items() if not key.startswith("fc.")}
    assert merge(PLAIN, source, name="x").parts == ("backbone",)
    assert refusal(PLAIN, source, require_head=True)[1:] == [
        "params/head/output/kernel (fc.weight): expected (5, 32), found nothing",
        "params/head/output/bias (fc.bias): expected (5,), found nothing",
    ]


def test_a_required_head_of_another_size_is_a_mismatch():
    assert refusal(PLAIN, source_for(leaves_of(classes=1000)), require_head=True)[1:] == [
        "params/head/output/kernel (fc.weight): expected (5, 32), found (1000, 32)",
        "params/head/output/bias (fc.bias): expected (5,), found (1000,)",
    ]


def test_a_head_with_other_inputs_or_half_a_head_is_not_on_the_short_list():
    source = source_for(PLAIN)
    source["fc.weight"] = np.zeros((1000, 31), np.float32)
    source["fc.bias"] = np.zeros(1000, np.float32)
    assert "params/head/output/kernel (fc.weight): expected (5, 32), found (1000, 31)" in refusal(PLAIN, source)
    del source["fc.weight"]
    assert "params/head/output/kernel (fc.weight): expected (5, 32), found nothing" in refusal(PLAIN, source)
    assert refusal(FC_CBAM, source)[1:] == ["fc.bias: expected nothing, found (1000,)"]


def test_an_fc_head_of_another_size_or_for_a_linear_one_is_an_error():
    source = source_for(leaves_of(hidden=(6, 4), classes=7))
    assert refusal(leaves_of(hidden=(6, 4)), source)[1:] == [
        "params/head/output/kernel (fc.8.weight): expected (5, 4), found (7, 4)",
        "params/head/output/bias (fc.8.bias): expected (5,), found (7,)",
    ]
    first, *lines = refusal(PLAIN, source)
    assert "use a config with that head (fc, fc_cbam)" in first
    assert "fc.0.weight: expected nothing, found (6, 32)" in lines
    assert len(lines) == 16


def test_squeeze_and_excitation_without_a_place_is_an_error():
    first, *_ = refusal(PLAIN, source_for(leaves_of(squeeze=4)))
    assert "use a config with --model.block_attention se" in first


def test_cbam_weights_without_a_place_are_an_error():
    first, *lines = refusal(PLAIN, source_for(CBAM))
    assert "use a config with attention (cbam, fc_cbam)" in first
    assert lines == [
        "layer4.cbam.mlp.0.weight: expected nothing, found (2, 32)",
        "layer4.cbam.mlp.2.weight: expected nothing, found (32, 2)",
        "layer4.cbam.spatial_conv.weight: expected nothing, found (1, 2, 7, 7)",
    ]


def test_attention_is_all_or_nothing():
    source = source_for(CBAM)
    del source["layer4.cbam.mlp.2.weight"]
    assert refusal(CBAM, source)[1:] == [
        "params/attention/channel/output/kernel (layer4.cbam.mlp.2.weight): expected (32, 2), found nothing"
    ]


def test_the_perceptron_may_come_as_convolutions():
    source = source_for(CBAM)
    expected = merge(CBAM, source, name="x").filled
    source["layer4.cbam.mlp.0.weight"] = source["layer4.cbam.mlp.0.weight"][:, :, None, None]
    path = ("params", "attention", "channel", "hidden", "kernel")
    np.testing.assert_array_equal(merge(CBAM, source, name="x").filled[path], expected[path])
    source["layer4.cbam.mlp.0.weight"] = np.zeros((2, 32, 3, 3), np.float32)
    assert refusal(CBAM, source)[1].endswith("expected (2, 32), found (2, 32, 3, 3)")


def test_all_mismatches_are_reported_at_once():
    source = source_for(PLAIN)
    source["conv1.weight"] = np.zeros((4, 3, 3, 3), np.float32)
    del source["layer1.0.bn1.running_var"]
    source["extra\x1b"] = np.zeros(3)
    source["layer2.0.bn1.weight"] = np.zeros(8, np.int64)
    source["layer2.0.bn1.bias"][2:4] = np.nan, np.inf
    source["bn1.num_batches_tracked"] = np.array(3.0)
    source["layer3.0.bn1.num_batches_tracked"] = np.array(2**31)
    source["layer3.0.bn1.bias"] = np.full(8, 1e39)
    assert refusal(PLAIN, source)[1:] == [
        "params/backbone/stem_conv/kernel (conv1.weight): expected (4, 3, 7, 7), found (4, 3, 3, 3)",
        "batch_stats/backbone/stem_norm/num_batches_tracked (bn1.num_batches_tracked): "
        "expected a whole number, found float64",
        "batch_stats/backbone/stage2_block1/norm1/var (layer1.0.bn1.running_var): expected (4,), found nothing",
        "params/backbone/stage3_block1/norm1/scale (layer2.0.bn1.weight): expected floating-point numbers, found int64",
        "params/backbone/stage3_block1/norm1/bias (layer2.0.bn1.bias): "
        "expected finite numbers, found 2 that are not finite in float32",
        "params/backbone/stage4_block1/norm1/bias (layer3.0.bn1.bias): "
        "expected finite numbers, found 8 that are not finite in float32",
        "batch_stats/backbone/stage4_block1/norm1/num_batches_tracked (layer3.0.bn1.num_batches_tracked): "
        "expected a count from 0 to 2147483647, found 2147483648",
        "'extra\\x1b': expected nothing, found (3,)",
    ]


def test_counters_of_a_source_that_has_none_are_zero_and_named():
    source = {key: array for key, array in source_for(PLAIN).items() if "num_batches" not in key}
    merged = merge(PLAIN, source, name="x")
    counters = [path for path in PLAIN if path[-1] == "num_batches_tracked"]
    assert list(merged.new) == counters
    assert all(merged.filled[path].dtype == np.int32 and merged.filled[path] == 0 for path in counters)
    assert merged.parts == ("backbone", "head")
    source["bn1.num_batches_tracked"] = np.array(1)
    assert len(refusal(PLAIN, source)[1:]) == len(counters) - 1


def test_the_counter_of_averaged_weights_is_left_out():
    merged = merge(PLAIN, {"n_averaged": np.array(5), **source_for(PLAIN)}, name="x")
    assert merged.left_out == ("n_averaged",)


@pytest.mark.parametrize("dtype", [np.float16, np.float64, ml_dtypes.bfloat16])
def test_other_float_types_become_the_targets(dtype):
    source = source_for(PLAIN)
    source["bn1.weight"] = source["bn1.weight"].astype(dtype)
    scale = merge(PLAIN, source, name="x").filled["params", "backbone", "stem_norm", "scale"]
    assert scale.dtype == np.float32
    np.testing.assert_array_equal(scale, source["bn1.weight"].astype(np.float32))
    double = {path: (shape, np.dtype("float64") if dt.kind == "f" else dt) for path, (shape, dt) in PLAIN.items()}
    assert merge(double, source, name="x").filled["params", "backbone", "stem_norm", "scale"].dtype == np.float64


def test_another_kind_of_head_or_attention_is_new():
    target = leaves_of(attention=True)
    target["params", "head", "temperature"] = ((), np.dtype("float32"))
    target["params", "attention", "gate"] = ((), np.dtype("float32"))
    merged = merge(target, source_for(PLAIN), name="x")
    assert merged.parts == ("backbone",)
    assert merged.left_out == ("fc.weight", "fc.bias")
    assert ("params", "head", "output", "kernel") in merged.new


def test_a_backbone_leaf_without_counterpart_is_an_error():
    target = {**PLAIN, ("params", "backbone", "stem_conv", "bias"): ((4,), np.dtype("float32"))}
    assert refusal(target, source_for(PLAIN))[1:] == ["params/backbone/stem_conv/bias: has no counterpart in PyTorch"]


def test_source_classes():
    assert source_classes(source_for(leaves_of(classes=1000))) == 1000
    assert source_classes(source_for(leaves_of(hidden=(6, 4), classes=12))) == 12
    assert source_classes({"fc.0.weight": np.zeros((3, 2)), "fc.10.weight": np.zeros((4, 3))}) == 4
    assert source_classes({"conv1.weight": np.zeros((1, 1, 1, 1)), "fc.bias": np.zeros(3)}) is None
    assert source_classes({"fc.weight": np.zeros(3)}) is None
