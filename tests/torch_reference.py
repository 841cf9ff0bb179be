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

NETS = {
    "basic": {"block": "basic", "widths": (64, 128, 256, 512), "features": (64, 128, 256, 512), "groups": 1},
    "se": {"block_attention": "se"},
}
"""The same of nets that are none of the settings: full-size, of ResNet-34 and SE-ResNeXt-50."""

TINY = {
    "stage_sizes": (1, 1, 1, 1),
    "widths": (8, 16, 32, 64),
    "features": (256, 512, 1024, 2048),
    "groups": 2,
    "head_widths": (32, 16),
}
"""The fields of ``ModelConfig`` that give the net of ``model(..., tiny=True)``."""


def fields(setting: str, tiny: bool = False) -> dict[str, Any]:
    """The fields of ``ModelConfig`` of a setting or net."""
    return (TINY if tiny else {}) | (SETTINGS | NETS)[setting]


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
    """The network of a setting or net in evaluation mode, random weights, under the original project's names."""
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
    sizes, hidden = (TINY["stage_sizes"], TINY["head_widths"]) if tiny else ((3, 4, 6, 3), (1024, 512))
    if setting == "basic":
        net = resnet.ResNet(resnet.BasicBlock, sizes, classes)
    else:
        groups, width = (2, 4) if tiny else (32, 4)
        block = se_bottleneck(torch, resnet.Bottleneck) if setting == "se" else resnet.Bottleneck
        net = resnet.ResNet(block, sizes, classes, groups=groups, width_per_group=width)
    if "cbam" in setting:
        net.layer4.add_module("cbam", CBAM(2048))
    if "fc" in setting:
        layers, width = [], 2048
        for features in hidden:
            layers += [nn.Linear(width, features), nn.BatchNorm1d(features), nn.SiLU(), nn.Dropout(dropout)]
            width = features
        net.fc = nn.Sequential(*layers, nn.Linear(width, classes))
    return net.eval()


def se_bottleneck(torch: Any, bottleneck: Any) -> Any:
    """torchvision's bottleneck with squeeze and excitation before the sum, named and sized as timm has it."""
    nn = torch.nn

    class SEModule(nn.Module):
        def __init__(self, channels: int) -> None:
            super().__init__()
            # Of the channels here, from 256 on, a sixteenth is a multiple of 8.
            self.fc1 = nn.Conv2d(channels, channels // 16, 1)
            self.fc2 = nn.Conv2d(channels // 16, channels, 1)

        def forward(self, x: Any) -> Any:
            return x * torch.sigmoid(self.fc2(torch.relu(self.fc1(x.mean((2, 3), keepdim=True)))))

    class SEBottleneck(bottleneck):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            shortcut = self.downsample
            del self.downsample
            self.se = SEModule(self.conv3.out_channels)
            self.downsample = shortcut

        def forward(self, x: Any) -> Any:
            y = self.relu(self.bn1(self.conv1(x)))
            y = self.relu(self.bn2(self.conv2(y)))
            y = self.se(self.bn3(self.conv3(y)))
            return self.relu(y + (x if self.downsample is None else self.downsample(x)))

    return SEBottleneck


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
