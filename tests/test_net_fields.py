import numpy as np

from jaxnext.config.packaged import configs_folder
from jaxnext.config.yaml_text import load_config
from jaxnext.porting.net_fields import config_fields, differences, net_fields


def conv(*shape: int) -> np.ndarray:
    return np.zeros(shape)


NET = {
    "conv1.weight": conv(4, 3, 7, 7),
    "layer1.0.conv1.weight": conv(8, 4, 1, 1),
    "layer1.0.conv2.weight": conv(8, 4, 3, 3),
    "layer1.0.conv3.weight": conv(16, 8, 1, 1),
    "layer1.1.conv1.weight": conv(8, 16, 1, 1),
    "fc.weight": conv(5, 16),
}


def test_a_net_of_bottlenecks() -> None:
    assert net_fields(NET) == {
        "block": "bottleneck",
        "stage_sizes": (2,),
        "widths": (8,),
        "features": (16,),
        "stem_features": 4,
        "groups": 2,
        "block_attention": "none",
        "attention": "none",
        "head": "linear",
        "widths of the head": (),
        "classes": 5,
    }


def test_what_else_it_may_have() -> None:
    net = dict(NET)
    del net["fc.weight"], net["layer1.0.conv3.weight"]
    fields = net_fields(net | {"layer1.0.se.fc1.weight": conv(1, 1), "layer1.cbam.x": conv(1)})
    assert fields is not None
    assert [fields[name] for name in ("block", "features", "block_attention", "attention", "head", "classes")] == [
        *("basic", (8,), "se", "cbam", "none", None)
    ]
    fields = net_fields(net | {"fc.0.weight": conv(6, 8), "fc.3.weight": conv(3, 6)})
    assert fields is not None
    assert (fields["head"], fields["widths of the head"], fields["classes"]) == ("fc", (6,), 3)
    fields = net_fields(net | {"fc.scale": conv(6)})
    assert fields is not None
    assert fields["head"] == "another"


def test_no_net() -> None:
    assert net_fields({"weight": conv(3)}) is None
    assert net_fields({**NET, "layer1.0.conv2.weight": conv(8)}) is None
    assert net_fields({**NET, "layer1.0.conv2.weight": conv(8, 0, 3, 3)}) is None


def test_differences_from_a_config() -> None:
    baseline = config_fields(load_config(configs_folder() / "baseline.yaml").model)
    assert differences(baseline, baseline) == []
    found = {**baseline, "groups": 1, "widths": (64, 128), "classes": 7}
    assert differences(baseline, found) == [
        "widths: expected 128, 256, 512, 1024, found 64, 128",
        "groups: expected 32, found 1",
    ]
    fc = config_fields(load_config(configs_folder() / "fc.yaml").model)
    assert differences(baseline, fc) == [
        "head: expected linear, found fc",
        "widths of the head: expected none, found 1024, 512",
    ]
