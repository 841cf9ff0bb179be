"""Every setting of a run as frozen dataclasses. Defaults are those of the original PyTorch project.

The attribute docstrings below are what ``--help`` prints. Validation happens on construction: a value out of
range raises ``ValueError`` with the dotted name of the key, what was expected and what was found.
"""

import dataclasses
import math
import re
from typing import Literal

Precision = Literal["float32", "bfloat16", "float64"]
Option = bool | int | float | str


def _check(ok: bool, key: str, expected: str, found: object) -> None:
    if not ok:
        raise ValueError(f"{key}: expected {expected}, found {found!r}")


def _finite(value: float) -> bool:
    return math.isfinite(value)


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """Where the images are and how they are read."""

    source: str = "folder"
    """folder: class folders of images under data.path; digits: scikit-learn's 1,797 bundled handwritten digits;
    tfds: the prepared TFDS data set in the folder data.path; tfds:NAME, also NAME/CONFIG:VERSION: one by its name"""
    path: str | None = None
    """folder that holds train/, optionally val/, and test/, each with one folder per class; for tfds that of the
    data set, for tfds:NAME the one with all data sets (null: ~/tensorflow_datasets)"""
    train_split: str = "train"
    """tfds: split to train on, also a part of one such as train[:80%]"""
    val_split: str | None = None
    """tfds: split for validation; null: validation or val, else a share of the training images (val_fraction)"""
    image_size: int = 512
    """images are resized to this many pixels on each side"""
    val_fraction: float = 0.2
    """share of each class held out for validation where there is no val/ folder or validation split"""
    cache: Literal["none", "memory", "disk"] = "none"
    """decoded images are kept after the first epoch: in the memory of the process, or on disk for later runs too"""
    cache_path: str | None = None
    """folder of the caches on disk; null: jaxnext/decoded in the user's cache folder"""
    verify: bool = False
    """true: decode every image before the first epoch and report all that cannot be read"""
    on_corrupt: Literal["stop", "skip"] = "stop"
    """an image that cannot be read: stop at it, or train without it and list it in corrupt.csv"""

    def __post_init__(self) -> None:
        known = self.source in ("folder", "digits", "tfds") or re.fullmatch(r"tfds:.+", self.source)
        _check(bool(known), "data.source", "one of folder, digits, tfds, tfds:NAME", self.source)
        _check(self.image_size >= 1, "data.image_size", "at least 1 pixel", self.image_size)
        _check(0 < self.val_fraction < 1, "data.val_fraction", "a share between 0 and 1", self.val_fraction)


@dataclasses.dataclass(frozen=True)
class AugmentConfig:
    """Training augmentation: for each image one of rotation, colour jitter, horizontal and vertical flip is drawn."""

    rotation: float = 45.0
    """rotation by an angle uniform in plus or minus this many degrees"""
    brightness: float = 0.2
    """colour jitter: brightness factor uniform in 1 plus or minus this"""
    contrast: float = 0.2
    """colour jitter: contrast factor uniform in 1 plus or minus this"""
    saturation: float = 0.2
    """colour jitter: saturation factor uniform in 1 plus or minus this"""
    horizontal_flip: float = 0.2
    """probability of the horizontal flip where it is the one drawn"""
    vertical_flip: float = 0.2
    """probability of the vertical flip where it is the one drawn"""

    def __post_init__(self) -> None:
        _check(0 <= self.rotation <= 180, "augment.rotation", "0 to 180 degrees", self.rotation)
        for name in ("brightness", "contrast", "saturation", "horizontal_flip", "vertical_flip"):
            value = getattr(self, name)
            _check(0 <= value <= 1, f"augment.{name}", "a number from 0 to 1", value)


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """The network: a ResNeXt backbone, an attention module after its last stage, and a head."""

    stage_sizes: tuple[int, ...] = (3, 4, 6, 3)
    """number of bottleneck blocks in each stage"""
    widths: tuple[int, ...] = (128, 256, 512, 1024)
    """channels of the grouped 3x3 convolution in each stage"""
    features: tuple[int, ...] = (256, 512, 1024, 2048)
    """output channels of each stage"""
    stem_features: int = 64
    """output channels of the 7x7 convolution before the first stage"""
    groups: int = 32
    """groups of each 3x3 convolution (cardinality)"""
    attention: str = "none"
    """attention after the last stage: none, or a file in jaxnext/models/attention (cbam)"""
    reduction: int = 16
    """attention: channels are divided by this in the perceptron of the channel attention"""
    attention_options: dict[str, Option] = dataclasses.field(default_factory=dict)
    """further fields of the attention module, by name"""
    head: str = "linear"
    """a file in jaxnext/models/heads (linear, fc)"""
    head_widths: tuple[int, ...] = (1024, 512)
    """hidden layer widths of the fc head"""
    dropout: float = 0.3
    """dropout probability after each hidden layer of the head"""
    head_options: dict[str, Option] = dataclasses.field(default_factory=dict)
    """further fields of the head, by name"""
    classes: int | None = None
    """number of classes; null: as many as the data has"""
    remat: bool = False
    """recompute each block's activations in the backward pass: less than half the memory, a fifth more time on a CPU"""
    weights: str | None = None
    """folder of a ported checkpoint or of a run to start from; null: start from scratch"""
    max_parameters: int = 100_000_000
    """a network with more parameters than this is refused"""

    def __post_init__(self) -> None:
        stages = len(self.stage_sizes)
        for name in ("stage_sizes", "widths", "features"):
            value = getattr(self, name)
            _check(
                len(value) == stages and stages > 0 and all(v >= 1 for v in value),
                f"model.{name}",
                f"{max(stages, 1)} whole numbers of at least 1, one for each stage",
                list(value),
            )
        _check(self.groups >= 1, "model.groups", "at least 1", self.groups)
        for width in self.widths:
            _check(width % self.groups == 0, "model.widths", f"multiples of model.groups ({self.groups})", width)
        _check(self.stem_features >= 1, "model.stem_features", "at least 1", self.stem_features)
        _check(self.reduction >= 1, "model.reduction", "at least 1", self.reduction)
        most = self.features[-1]
        fits = self.attention == "none" or self.reduction <= most
        _check(fits, "model.reduction", f"at most the {most} channels of the last stage", self.reduction)
        _check(
            all(w >= 1 for w in self.head_widths), "model.head_widths", "widths of at least 1", list(self.head_widths)
        )
        _check(0 <= self.dropout < 1, "model.dropout", "a probability from 0 to below 1", self.dropout)
        _check(self.classes is None or self.classes >= 1, "model.classes", "null or at least 1", self.classes)
        _check(self.max_parameters >= 1, "model.max_parameters", "at least 1", self.max_parameters)


@dataclasses.dataclass(frozen=True)
class OptimizerConfig:
    """Adam, as PyTorch's ``torch.optim.Adam``."""

    learning_rate: float = 1e-4
    """step size before any plateau reduction"""
    weight_decay: float = 0.0
    """L2 penalty, added to the gradient as torch.optim.Adam does"""
    beta1: float = 0.9
    """decay of the running mean of gradients"""
    beta2: float = 0.999
    """decay of the running mean of squared gradients"""
    eps: float = 1e-8
    """added to the root of the squared gradients' mean"""

    def __post_init__(self) -> None:
        lr, decay = self.learning_rate, self.weight_decay
        _check(_finite(lr) and lr > 0, "optimizer.learning_rate", "a number above 0", lr)
        _check(_finite(decay) and decay >= 0, "optimizer.weight_decay", "a number of at least 0", decay)
        for name in ("beta1", "beta2"):
            value = getattr(self, name)
            _check(0 <= value < 1, f"optimizer.{name}", "a number from 0 to below 1", value)
        _check(_finite(self.eps) and self.eps > 0, "optimizer.eps", "a number above 0", self.eps)


@dataclasses.dataclass(frozen=True)
class PlateauConfig:
    """Learning rate schedule on validation loss, as PyTorch's ``ReduceLROnPlateau`` (mode min, relative threshold)."""

    factor: float = 0.1
    """the learning rate is multiplied by this when the validation loss has stopped falling"""
    patience: int = 3
    """epochs without improvement that are tolerated; the next one reduces"""
    threshold: float = 1e-4
    """relative fall of the loss that counts as an improvement"""
    cooldown: int = 0
    """epochs after a reduction in which nothing is counted"""
    min_learning_rate: float = 0.0
    """the learning rate is never reduced below this"""

    def __post_init__(self) -> None:
        _check(0 < self.factor < 1, "plateau.factor", "a number between 0 and 1", self.factor)
        _check(self.patience >= 0, "plateau.patience", "at least 0", self.patience)
        _check(
            _finite(self.threshold) and 0 <= self.threshold < 1,
            "plateau.threshold",
            "from 0 to below 1",
            self.threshold,
        )
        _check(self.cooldown >= 0, "plateau.cooldown", "at least 0", self.cooldown)
        low = self.min_learning_rate
        _check(_finite(low) and low >= 0, "plateau.min_learning_rate", "a number of at least 0", low)


@dataclasses.dataclass(frozen=True)
class Config:
    """Everything that decides what a training run computes."""

    seed: int = 0
    """seed of initialisation, order of examples, augmentation, dropout and the validation split"""
    epochs: int = 50
    """passes over the training images"""
    batch_size: int = 16
    """images in a training step, over all devices"""
    precision: Precision = "float32"
    """float32; bfloat16 (computation only: parameters, statistics and logits stay float32); float64 (for proofs)"""
    workers: int | None = None
    """processes that decode images; 0: threads of the main process; null: chosen from the cores"""
    checkpoint_every: int = 0
    """also keep a checkpoint every this many epochs; 0: only the best and the last"""
    data: DataConfig = dataclasses.field(default_factory=DataConfig)
    augment: AugmentConfig = dataclasses.field(default_factory=AugmentConfig)
    model: ModelConfig = dataclasses.field(default_factory=ModelConfig)
    optimizer: OptimizerConfig = dataclasses.field(default_factory=OptimizerConfig)
    plateau: PlateauConfig = dataclasses.field(default_factory=PlateauConfig)

    def __post_init__(self) -> None:
        _check(0 <= self.seed < 2**32, "seed", "a whole number from 0 to 4294967295", self.seed)
        _check(self.epochs >= 1, "epochs", "at least 1", self.epochs)
        _check(self.batch_size >= 1, "batch_size", "at least 1", self.batch_size)
        _check(self.workers is None or self.workers >= 0, "workers", "null or at least 0", self.workers)
        fits = self.data.cache != "memory" or not self.workers
        _check(fits, "workers", "null or 0 with data.cache memory, which worker processes cannot share", self.workers)
        _check(self.checkpoint_every >= 0, "checkpoint_every", "at least 0", self.checkpoint_every)
