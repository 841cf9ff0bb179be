import re
from pathlib import Path

import pytest
from flat_config import model_config
from torch_reference import require

from jaxnext.config.yaml_text import load_config
from jaxnext.porting.named import WEIGHTS, Named, weights_for

CONFIGS = Path(__file__).resolve().parent.parent / "configs"
TORCHVISION = "https://download.pytorch.org/models/"


def test_names_and_where_the_files_are() -> None:
    assert WEIGHTS["imagenet1k_v1"] == Named(f"{TORCHVISION}resnext50_32x4d-7cdf4587.pth", "baseline")
    assert WEIGHTS["imagenet1k_v2"] == Named(f"{TORCHVISION}resnext50_32x4d-1a0047aa.pth", "baseline")
    assert WEIGHTS["resnet18_imagenet1k_v1"] == Named(f"{TORCHVISION}resnet18-f37072fd.pth", "resnet18")
    assert WEIGHTS["wide_resnet101_2_imagenet1k_v2"].url == f"{TORCHVISION}wide_resnet101_2-d733dc28.pth"
    # timm/models/resnet.py
    assert WEIGHTS["seresnext50_32x4d.racm_in1k"] == Named(
        "https://github.com/rwightman/pytorch-image-models/releases/download/v0.1-weights/"
        "seresnext50_32x4d_racm-a304a460.pth",
        "seresnext50_32x4d",
    )
    assert len(WEIGHTS) == 20
    assert all(re.fullmatch(r"https://\S+-[0-9a-f]{8}\.pth", named.url) for named in WEIGHTS.values())


def test_they_are_all_that_torchvision_has() -> None:
    _, torchvision = require()
    nets = [name for name in torchvision.models.list_models(torchvision.models) if re.match("(wide_)?resne", name)]
    expected = {
        f"{net}_{member.name.lower()}": member.url
        for net in nets
        for member in torchvision.models.get_model_weights(net)
    }
    found = {name: named.url for name, named in WEIGHTS.items() if "_imagenet1k_" in name}
    assert found == expected


@pytest.mark.parametrize("name", sorted({named.config for named in WEIGHTS.values()}))
def test_newest_weights_of_every_config(name: str) -> None:
    found = weights_for(load_config(CONFIGS / f"{name}.yaml").model, CONFIGS)
    assert found is not None
    weights, config = found
    assert (config, WEIGHTS[weights].config) == (name, name)
    assert weights.endswith(("_v2", "racm_in1k")) or name in ("resnet18", "resnet34", "resnext101_64x4d")


def test_another_net_has_none() -> None:
    assert weights_for(model_config(stem_features=32), CONFIGS) is None
    assert weights_for(model_config(attention="cbam", head="fc"), CONFIGS) == ("imagenet1k_v2", "baseline")
