import dataclasses

import benchmark_cases
import pytest
from benchmarks.flops import forward_flops
from benchmarks.torch_model import build
from flat_config import model_config

from jaxnext.config.sections import ATTENTIONS, HEADS


def test_one_bottleneck_by_hand():
    config = model_config(stage_sizes=(1,), widths=(4,), features=(8,), stem_features=2, groups=2)
    stem = 4 * 4 * 49 * 3 * 2  # 8 x 8 pixels become 4 x 4, after the pool 2 x 2
    block = 2 * 2 * (2 * 4 + 9 * 2 * 4 + 4 * 8 + 2 * 8)
    assert forward_flops(config, 10, 8) == 2 * (stem + block + 8 * 10)


def test_torchvision_s_figure_for_resnext50():
    # torchvision documents 4.23 GFLOPS for resnext50_32x4d, a multiply-add as one.
    assert round(forward_flops(model_config(), 1000, 224) / 2e9, 2) == 4.23


@pytest.mark.parametrize("size", [64, 75])
@pytest.mark.parametrize(
    "config",
    [
        benchmark_cases.MODEL,
        dataclasses.replace(benchmark_cases.MODEL, attention=ATTENTIONS.choose("none"), head=HEADS.choose("linear")),
    ],
    ids=["cbam, fc", "none, linear"],
)
def test_what_pytorch_counts(config, size):
    torch = pytest.importorskip("torch")
    from torch.utils.flop_counter import FlopCounterMode

    with torch.device("meta"):
        net, images = build(torch, config, 5).eval(), torch.zeros(1, 3, size, size)
    with FlopCounterMode(display=False) as counter:
        net(images)
    assert forward_flops(config, 5, size) == counter.get_total_flops()
