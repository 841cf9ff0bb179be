"""The weight map: torchvision's names, the original project's, and layouts in both directions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flat_config import model_config
from hypothesis import given, settings
from hypothesis import strategies as st
from model_leaves import leaves_of
from torch_reference import require

from jaxnext.engine.network import network
from jaxnext.porting.torchvision import to_jax, to_torch, torch_order, torch_shape, weight_map
from jaxnext.tree import flatten

RESNEXT50 = {"stage_sizes": (3, 4, 6, 3), "widths": (128, 256, 512, 1024), "features": (256, 512, 1024, 2048)}
NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


def torchvision_names(blocks: tuple[int, ...]) -> set[str]:
    names = {"conv1.weight", *(f"bn1.{leaf}" for leaf in NORM), "fc.weight", "fc.bias"}
    for layer, count in enumerate(blocks, start=1):
        for block in range(count):
            for index in (1, 2, 3):
                names.add(f"layer{layer}.{block}.conv{index}.weight")
                names |= {f"layer{layer}.{block}.bn{index}.{leaf}" for leaf in NORM}
        names.add(f"layer{layer}.0.downsample.0.weight")
        names |= {f"layer{layer}.0.downsample.1.{leaf}" for leaf in NORM}
    return names


@pytest.mark.parametrize("blocks", [(3, 4, 6, 3), (3, 4, 23, 3), (1, 1, 1, 1)])
def test_every_leaf_has_torchvisions_name(blocks):
    leaves = leaves_of(blocks, RESNEXT50["widths"], RESNEXT50["features"], 32, 64)
    entries = weight_map(leaves)
    assert list(entries) == list(leaves)
    assert {entry.source for entry in entries.values()} == torchvision_names(blocks)
    assert len({entry.source for entry in entries.values()}) == len(leaves)


@pytest.mark.parametrize(
    ("path", "source", "transform"),
    [
        ("params/backbone/stem_conv/kernel", "conv1.weight", "convolution"),
        ("batch_stats/backbone/stem_norm/var", "bn1.running_var", "identity"),
        ("params/backbone/stage2_block1/conv1/kernel", "layer1.0.conv1.weight", "convolution"),
        ("params/backbone/stage4_block23/norm3/scale", "layer3.22.bn3.weight", "identity"),
        ("batch_stats/backbone/stage5_block2/norm2/num_batches_tracked", "layer4.1.bn2.num_batches_tracked", "counter"),
        ("params/backbone/stage3_block1/shortcut_conv/kernel", "layer2.0.downsample.0.weight", "convolution"),
        ("params/backbone/stage3_block1/shortcut_norm/bias", "layer2.0.downsample.1.bias", "identity"),
        ("params/backbone/stage2_block1/attention/hidden/kernel", "layer1.0.se.fc1.weight", "pointwise"),
        ("params/backbone/stage5_block2/attention/output/bias", "layer4.1.se.fc2.bias", "identity"),
        ("params/attention/channel/hidden/kernel", "layer4.cbam.mlp.0.weight", "perceptron"),
        ("params/attention/channel/output/kernel", "layer4.cbam.mlp.2.weight", "perceptron"),
        ("params/attention/spatial_conv/kernel", "layer4.cbam.spatial_conv.weight", "convolution"),
        ("params/head/hidden1/kernel", "fc.0.weight", "dense"),
        ("batch_stats/head/norm1/mean", "fc.1.running_mean", "identity"),
        ("params/head/hidden2/bias", "fc.4.bias", "identity"),
        ("params/head/norm2/scale", "fc.5.weight", "identity"),
        ("params/head/output/kernel", "fc.8.weight", "dense"),
    ],
)
def test_names_and_layouts(path, source, transform):
    leaves = leaves_of((1, 1, 23, 2), attention=True, hidden=(6, 4), squeeze=4)
    assert weight_map(leaves)[tuple(path.split("/"))] == (source, transform)


def test_the_output_layer_follows_the_hidden_ones():
    output = ("params", "head", "output", "bias")
    assert [weight_map(leaves_of(hidden=h))[output].source for h in ((), (4,), (4, 4, 4))] == [
        "fc.bias",
        "fc.4.bias",
        "fc.12.bias",
    ]


def test_another_attention_or_head_has_no_names_at_all():
    leaves = leaves_of(attention=True)
    leaves["params", "attention", "channel", "hidden", "bias"] = ((2,), np.dtype("float32"))
    leaves["params", "head", "scale"] = ((), np.dtype("float32"))
    assert {path[1] for path in weight_map(leaves)} == {"backbone"}


@pytest.mark.parametrize(
    ("attention", "head"), [("none", "linear"), ("none", "fc"), ("cbam", "linear"), ("cbam", "fc")]
)
def test_the_models_have_these_leaves(attention, head):
    config = model_config(attention=attention, head=head)
    images = jnp.zeros((2, 32, 32, 3))
    shapes = jax.eval_shape(lambda: network(config, 100, "float32").init(jax.random.key(0), images, train=False))
    found = {path: (leaf.shape, leaf.dtype) for path, leaf in flatten(shapes).items()}
    hidden = (1024, 512) if head == "fc" else ()
    expected = leaves_of(**RESNEXT50, groups=32, stem=64, attention=attention == "cbam", hidden=hidden, classes=100)
    assert found == expected


@settings(max_examples=30, deadline=None)
@given(
    st.sampled_from([("convolution", 4), ("dense", 2), ("perceptron", 2), ("pointwise", 2), ("identity", 1)]), st.data()
)
def test_to_jax_and_to_torch_are_inverse(kind, data):
    transform, rank = kind
    shape = tuple(data.draw(st.lists(st.integers(1, 4), min_size=rank, max_size=rank)))
    shape += (1, 1) if transform == "pointwise" else ()
    array = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    there = to_jax(transform, array)
    assert torch_shape(transform, there.shape) == shape
    back = to_torch(transform, there)
    assert back.dtype == array.dtype
    np.testing.assert_array_equal(back, array)


def test_layouts_by_hand():
    convolution = to_jax("convolution", np.arange(24).reshape(4, 3, 2, 1))
    assert convolution.shape == (2, 1, 3, 4)
    assert convolution[1, 0, 2, 3] == 3 * 6 + 2 * 2 + 1
    assert to_jax("dense", np.array([[1, 2, 3]])).tolist() == [[1], [2], [3]]
    assert to_jax("perceptron", np.array([[[[1]], [[2]]]])).tolist() == [[1], [2]]
    assert to_jax("pointwise", np.array([[[[1]], [[2]]]])).tolist() == [[1], [2]]
    assert to_torch("pointwise", np.array([[1], [2]])).tolist() == [[[[1]], [[2]]]]
    with pytest.raises(ValueError, match="cannot reshape"):
        to_jax("pointwise", np.zeros((1, 2, 3, 3)))


def test_counters():
    count = to_jax("counter", np.array(7, np.int64))
    assert (count.dtype, count.shape, int(count)) == (np.int32, (), 7)
    assert to_torch("counter", count).dtype == np.int64
    for wrong in (2**31, -1):
        with pytest.raises(ValueError, match="expected a count from 0 to 2147483647"):
            to_jax("counter", np.array(wrong, np.int64))


def test_names_stand_in_timms_order():
    leaves = leaves_of(basic=True, squeeze=4, groups=1)
    names = [entry.source for entry in weight_map(leaves).values()]
    kinds = [name.split(".")[2] for name in sorted(names, key=torch_order) if name.startswith("layer1.0.")]
    assert list(dict.fromkeys(kinds)) == ["conv1", "bn1", "conv2", "bn2", "se", "downsample"]


@pytest.mark.parametrize(("transform", "rank"), [("convolution", 4), ("dense", 2), ("identity", 1), ("counter", 0)])
def test_a_wrong_rank_is_an_error(transform, rank):
    for convert in (to_jax, to_torch):
        with pytest.raises(ValueError, match=f"expected {rank} dimensions, found 3"):
            convert(transform, np.zeros((1, 1, 1)))


@pytest.mark.parametrize(
    ("name", "blocks", "groups", "width"),
    [
        ("resnet18", (2, 2, 2, 2), 1, 64),
        ("resnet34", (3, 4, 6, 3), 1, 64),
        ("resnet50", (3, 4, 6, 3), 1, 64),
        ("resnet101", (3, 4, 23, 3), 1, 64),
        ("resnet152", (3, 8, 36, 3), 1, 64),
        ("wide_resnet50_2", (3, 4, 6, 3), 1, 128),
        ("wide_resnet101_2", (3, 4, 23, 3), 1, 128),
        ("resnext50_32x4d", (3, 4, 6, 3), 32, 128),
        ("resnext101_32x8d", (3, 4, 23, 3), 32, 256),
        ("resnext101_64x4d", (3, 4, 23, 3), 64, 256),
    ],
)
def test_the_real_torchvision_has_these_names_and_shapes(name, blocks, groups, width):
    torch, torchvision = require()
    with torch.device("meta"):
        state = getattr(torchvision.models, name)().state_dict()
    widths = tuple(width << stage for stage in range(4))
    basic = name in ("resnet18", "resnet34")
    features = widths if basic else RESNEXT50["features"]
    leaves = leaves_of(blocks, widths, features, groups, 64, classes=1000, basic=basic)
    found = {entry.source: torch_shape(entry.transform, leaves[path][0]) for path, entry in weight_map(leaves).items()}
    assert found == {key: tuple(tensor.shape) for key, tensor in state.items()}
    assert sorted(found, key=torch_order) == list(state)
