import pytest

from jaxnext.porting.dialects import DIALECTS, rename, sightings, without_wrappers

TORCHVISION, LAYER0, POSITIONS, TRANSFORMERS = DIALECTS


@pytest.mark.parametrize(
    ("dialect", "theirs", "ours"),
    [
        (TORCHVISION, "layer1.0.conv1.weight", "layer1.0.conv1.weight"),
        (LAYER0, "layer0.0.weight", "conv1.weight"),
        (LAYER0, "layer0.1.running_var", "bn1.running_var"),
        (LAYER0, "layer1.0.conv1.weight", "layer1.0.conv1.weight"),
        (POSITIONS, "0.weight", "conv1.weight"),
        (POSITIONS, "1.bias", "bn1.bias"),
        (POSITIONS, "4.0.conv1.weight", "layer1.0.conv1.weight"),
        (POSITIONS, "7.2.downsample.0.weight", "layer4.2.downsample.0.weight"),
        (POSITIONS, "9.weight", "fc.9.weight"),
        (POSITIONS, "10.1.bias", "fc.10.1.bias"),
        (TRANSFORMERS, "embedder.embedder.convolution.weight", "conv1.weight"),
        (TRANSFORMERS, "embedder.embedder.normalization.running_mean", "bn1.running_mean"),
        (TRANSFORMERS, "encoder.stages.2.layers.5.layer.1.convolution.weight", "layer3.5.conv2.weight"),
        (TRANSFORMERS, "encoder.stages.0.layers.0.layer.2.normalization.bias", "layer1.0.bn3.bias"),
        (TRANSFORMERS, "encoder.stages.3.layers.0.shortcut.convolution.weight", "layer4.0.downsample.0.weight"),
        (TRANSFORMERS, "encoder.stages.3.layers.0.shortcut.normalization.weight", "layer4.0.downsample.1.weight"),
    ],
)
def test_names(dialect, theirs, ours) -> None:
    assert rename(theirs, dialect) == ours


def test_what_pytorch_puts_around_modules() -> None:
    assert without_wrappers("_orig_mod.layer1._checkpoint_wrapped_module.0.conv1.weight") == "layer1.0.conv1.weight"
    assert without_wrappers("_fsdp_wrapped_module.fc.bias") == "fc.bias"
    assert without_wrappers("my_orig_mod.fc.bias") == "my_orig_mod.fc.bias"


def test_nets_among_names() -> None:
    names = ["q.conv1.weight", "q.layer1.0.conv1.weight", "k.layer1.0.conv1.weight", "queue", "xlayer1.0.conv1.weight"]
    seen = {(each.prefix, each.dialect.text): each.names for each in sightings(names)}
    assert seen["q.", ""] == {
        "conv1.weight": "q.conv1.weight",
        "layer1.0.conv1.weight": "q.layer1.0.conv1.weight",
    }
    assert [prefix for prefix, text in seen if not text] == ["q.", "k."]
    assert sightings(["conv1.weight"]) == []
    # layer4.0.conv1 is not the fourth module's first block.
    assert sightings(["layer4.0.conv1.weight"]) == []
