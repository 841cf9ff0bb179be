"""The equal network in PyTorch: ResNeXt with CBAM and either head, under torchvision's names.

As torchvision writes it (in-place ReLU, one module a layer), in so far as that decides its speed.
"""

from typing import Any

from jaxnext.config.sections import ModelConfig
from jaxnext.errors import UsageError


def build(torch: Any, config: ModelConfig, classes: int) -> Any:
    """Return the network of a config as a ``torch.nn.Module``, NCHW, with fresh weights.

    Args:
        torch: the module.
        config: the ``model`` section.
        classes: number of outputs.

    Returns:
        a module that maps images ``[N, 3, H, W]`` to logits ``[N, classes]``, in training mode. Its state dict has the
        names and shapes of torchvision's, with the attention at ``layer4.cbam``.

    Raises:
        UsageError: an attention module or head that has no counterpart here.
    """
    check(config)
    nn = torch.nn
    backbone: dict[str, Any] = {
        "conv1": nn.Conv2d(3, config.stem_features, 7, 2, 3, bias=False),
        "bn1": nn.BatchNorm2d(config.stem_features),
        "relu": nn.ReLU(inplace=True),
        "maxpool": nn.MaxPool2d(3, 2, 1),
    }
    channels, bottleneck = config.stem_features, _bottleneck_class(torch)
    stages = zip(config.stage_sizes, config.widths, config.features, strict=True)
    for stage, (blocks, width, features) in enumerate(stages, start=1):
        layer = nn.Sequential()
        for block in range(blocks):
            stride = 2 if stage > 1 and block == 0 else 1
            layer.append(bottleneck(channels, width, features, config.groups, stride))
            channels = features
        backbone[f"layer{stage}"] = layer
    if config.attention.type == "cbam":
        kernel_size = config.attention["kernel_size"]
        attention = _cbam_class(torch)(channels, config.attention["reduction"], kernel_size)
        backbone[f"layer{len(config.stage_sizes)}"].add_module("cbam", attention)
    net = nn.Sequential()
    for name, module in backbone.items():
        net.add_module(name, module)
    net.add_module("avgpool", nn.AdaptiveAvgPool2d(1))
    net.add_module("flatten", nn.Flatten())
    net.add_module("fc", _head(nn, config, channels, classes))
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return net


def check(config: ModelConfig) -> None:
    """Refuse a network that has no counterpart here.

    Raises:
        UsageError: names the key.
    """
    for key, found, known in (
        ("model.block", config.block, ("bottleneck",)),
        ("model.block_attention", config.block_attention.type, ("none",)),
        ("model.attention", config.attention.type, ("none", "cbam")),
        ("model.head", config.head.type, ("linear", "fc")),
    ):
        if found not in known:
            raise UsageError(f"{key}: the benchmark has PyTorch's side of {' and '.join(known)} only, found {found!r}")


def _bottleneck_class(torch: Any) -> Any:
    nn = torch.nn

    class Bottleneck(nn.Module):
        def __init__(self, channels: int, width: int, features: int, groups: int, stride: int) -> None:
            super().__init__()
            self.conv1 = nn.Conv2d(channels, width, 1, bias=False)
            self.bn1 = nn.BatchNorm2d(width)
            self.conv2 = nn.Conv2d(width, width, 3, stride, 1, groups=groups, bias=False)
            self.bn2 = nn.BatchNorm2d(width)
            self.conv3 = nn.Conv2d(width, features, 1, bias=False)
            self.bn3 = nn.BatchNorm2d(features)
            self.relu = nn.ReLU(inplace=True)
            self.downsample = None
            if stride != 1 or channels != features:
                shortcut = nn.Conv2d(channels, features, 1, stride, bias=False)
                self.downsample = nn.Sequential(shortcut, nn.BatchNorm2d(features))

        def forward(self, x: Any) -> Any:
            y = self.relu(self.bn1(self.conv1(x)))
            y = self.relu(self.bn2(self.conv2(y)))
            y = self.bn3(self.conv3(y))
            y += x if self.downsample is None else self.downsample(x)
            return self.relu(y)

    return Bottleneck


def _cbam_class(torch: Any) -> Any:
    nn = torch.nn

    class Cbam(nn.Module):
        def __init__(self, channels: int, reduction: int, kernel_size: int) -> None:
            super().__init__()
            hidden = channels // reduction
            self.mlp = nn.Sequential(
                nn.Linear(channels, hidden, bias=False), nn.ReLU(), nn.Linear(hidden, channels, bias=False)
            )
            self.spatial_conv = nn.Conv2d(2, 1, kernel_size, padding=(kernel_size - 1) // 2, bias=False)

        def forward(self, x: Any) -> Any:
            channel = torch.sigmoid(self.mlp(x.mean((2, 3))) + self.mlp(x.amax((2, 3))))
            x = x * channel[:, :, None, None]
            pooled = torch.cat([x.mean(1, keepdim=True), x.amax(1, keepdim=True)], 1)
            return x * torch.sigmoid(self.spatial_conv(pooled))

    return Cbam


def _head(nn: Any, config: ModelConfig, channels: int, classes: int) -> Any:
    if config.head.type == "linear":
        return nn.Linear(channels, classes)
    layers = []
    for width in config.head["widths"]:
        layers += [nn.Linear(channels, width), nn.BatchNorm1d(width), nn.SiLU(), nn.Dropout(config.head["dropout"])]
        channels = width
    return nn.Sequential(*layers, nn.Linear(channels, classes))
