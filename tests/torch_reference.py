"""The original in PyTorch: torchvision's ResNet with CBAM after layer4 and the fc head, under the original's names.

Needs torch and torchvision, which ``require()`` gives; where they are missing it skips the test.
"""

import importlib.util
import pathlib
import re
from typing import Any

import pytest

SETTINGS = {
    "baseline": {"attention": "none", "head": "linear"},
    "fc": {"attention": "none", "head": "fc"},
    "cbam": {"attention": "cbam", "head": "linear"},
    "fc_cbam": {"attention": "cbam", "head": "fc"},
}
"""The fields of ``ModelConfig`` in which the four settings differ."""

TINY = {
    "stage_sizes": (1, 1, 1, 1),
    "widths": (8, 16, 32, 64),
    "features": (256, 512, 1024, 2048),
    "groups": 2,
    "head_widths": (32, 16),
}
"""The fields of ``ModelConfig`` that give the net of ``model(..., tiny=True)``."""


def require() -> tuple[Any, Any]:
    """torch and torchvision, or a skipped test.

    torchvision's wheel links its C++ operators against CUDA; beside a CPU build of PyTorch they cannot load. Models and
    PIL transforms use none of them, so their names are declared without a body.
    """
    torch = pytest.importorskip("torch")
    spec = importlib.util.find_spec("torchvision")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("torchvision is not installed")
    if not torch.cuda.is_available() and not hasattr(torch.ops.torchvision, "nms"):
        folder = pathlib.Path(spec.submodule_search_locations[0])
        rules = (folder / "_meta_registrations.py").read_text()
        names = set(re.findall(r'register_meta\("(\w+)"\)|torchvision::(\w+)"', rules))
        global _library
        _library = torch.library.Library("torchvision", "FRAGMENT")
        for name in sorted({a or b for a, b in names}):
            _library.define(f"{name}(Tensor x) -> Tensor")
    import torchvision

    return torch, torchvision


_library: Any = None


def model(setting: str, classes: int = 100, tiny: bool = False, dropout: float = 0.3) -> Any:
    """A setting's network in evaluation mode, random weights, state dict under the original project's names."""
    torch, torchvision = require()
    nn = torch.nn

    class CBAM(nn.Module):
        def __init__(self, channels: int, reduction: int = 16) -> None:
            super().__init__()
            self.mlp = nn.Sequential(
                nn.Linear(channels, channels // reduction, bias=False),
                nn.ReLU(),
                nn.Linear(channels // reduction, channels, bias=False),
            )
            self.spatial_conv = nn.Conv2d(2, 1, 7, padding=3, bias=False)

        def forward(self, x: Any) -> Any:
            channel = torch.sigmoid(self.mlp(x.mean((2, 3))) + self.mlp(x.amax((2, 3))))
            x = x * channel[:, :, None, None]
            pooled = torch.cat([x.mean(1, keepdim=True), x.amax(1, keepdim=True)], 1)
            return x * torch.sigmoid(self.spatial_conv(pooled))

    resnet = torchvision.models.resnet
    if tiny:
        net = resnet.ResNet(resnet.Bottleneck, TINY["stage_sizes"], classes, groups=2, width_per_group=4)
        hidden = TINY["head_widths"]
    else:
        net = torchvision.models.resnext50_32x4d(num_classes=classes)
        hidden = (1024, 512)
    if "cbam" in setting:
        net.layer4.add_module("cbam", CBAM(2048))
    if "fc" in setting:
        layers, width = [], 2048
        for features in hidden:
            layers += [nn.Linear(width, features), nn.BatchNorm1d(features), nn.SiLU(), nn.Dropout(dropout)]
            width = features
        net.fc = nn.Sequential(*layers, nn.Linear(width, classes))
    return net.eval()


def settle(net: Any, seed: int = 0) -> Any:
    """Give every parameter and running statistic a random value that keeps activations moderate, by name order."""
    torch, _ = require()
    generator = torch.Generator().manual_seed(seed)
    for name, value in sorted(net.state_dict().items()):
        if name.endswith("num_batches_tracked"):
            value.fill_(3)
        elif name.endswith("running_var"):
            value.copy_(0.5 + torch.rand(value.shape, generator=generator))
        elif value.ndim == 1 and name.endswith("weight"):
            value.copy_(0.5 + 0.5 * torch.rand(value.shape, generator=generator))
        elif value.ndim == 1:
            value.copy_(0.1 * torch.randn(value.shape, generator=generator))
        else:
            fan_in = value[0].numel()
            value.copy_(torch.randn(value.shape, generator=generator) * (1.4 / fan_in**0.5))
    return net
