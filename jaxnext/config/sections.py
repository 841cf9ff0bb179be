"""Every setting of a run as frozen dataclasses. Defaults are those of the original PyTorch project.

The attribute docstrings below are what ``--help`` prints. Validation happens on construction: a value out of
range raises ``ValueError`` with the dotted name of the key, what was expected and what was found.

A field of type ``Choice`` picks one file of a folder by its ``type``; the options are declared there.
"""

import dataclasses
import math
from collections.abc import Iterator, Mapping
from typing import Any, Literal, TypeVar

from jaxnext.config.choice import Alternatives, Choice
from jaxnext.config.training import CheckpointConfig, TrainingConfig
from jaxnext.config.values import require

Precision = Literal["float32", "bfloat16", "float64"]

SOURCES = Alternatives("data.source", "data.sources", "Source")
AUGMENTATIONS = Alternatives("augment", "augment", "Augmentation", many=True)
_ATTENTION_GIVEN = ("classes", "axis_name", "param_dtype", "setting")
ATTENTIONS = Alternatives("model.attention", "models.attention", "Attention", _ATTENTION_GIVEN, optional=True)
BLOCK_ATTENTIONS = Alternatives(
    "model.block_attention", "models.attention", "Attention", _ATTENTION_GIVEN, optional=True
)
HEADS = Alternatives("model.head", "models.heads", "Head", ("classes", "axis_name", "param_dtype"))
LOSSES = Alternatives("loss", "losses", "Loss", ("weights",), light=True)
OPTIMIZERS = Alternatives("optimizer", "engine.optimizers", "Optimizer", light=True)
SCHEDULES = Alternatives("schedule", "engine.schedules", "Schedule", light=True)
LOGGERS = Alternatives("logger", "training.loggers", "Logger", many=True, light=True)

_T = TypeVar("_T")

PIXEL_SETTINGS = ("data.resize", "data.crop_share", "data.orientation", "data.depth", "data.background")
"""What decides, beside ``data.image_size``, which pixels of a file the network sees."""


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """Where the images are and how they are read."""

    source: Choice = dataclasses.field(default_factory=lambda: SOURCES.choose("folder"))
    """where the images come from"""
    path: tuple[str, ...] | str | None = None
    """folder that holds train/, optionally val/ (or valid/, validation/, dev/), and test/, each with one folder per
    class; or a flat folder with one folder per class; or a .zip or .tar file of these; or a list of several; for tfds
    the folder of the data set, or, where data.source.name is given, of all data sets (null: ~/tensorflow_datasets)"""
    labels: str | None = None
    """CSV or TSV file with the labels of the images in data.path, where that is no folder of class folders; relative to
    data.path or to the current folder. Columns split (train, val, test) and fold are taken where there are such"""
    image_column: str | None = None
    """column of data.labels with the images' names, relative to data.path, with or without extension; null: guessed"""
    label_column: str | None = None
    """column of data.labels with the labels, which are text whatever they look like; null: guessed"""
    group_column: str | None = None
    """column of data.labels with what never is on both sides of a split, such as the patient; null: nothing"""
    image_size: int | tuple[int, ...] | dict[int, int | tuple[int, ...]] = 512
    """pixels on each side that images are resized to, or [height, width]; or by epochs done, {0: 128, 20: 224}: 20
    epochs of training at 128, then at 224, which is the size of validation and prediction throughout"""
    resize: Literal["stretch", "crop", "pad"] = "stretch"
    """how: stretch to that shape, as the original; crop: keep the shape and the middle, as torchvision's Resize of the
    shorter side and CenterCrop; pad: keep the shape and everything, with black at the sides"""
    crop_share: float = 0.875
    """share of the shorter side that resize crop keeps; the resized image is 1/crop_share of image_size"""
    orientation: Literal["exif", "stored"] = "exif"
    """exif: images are turned upright as their EXIF says; stored: they are taken as stored, as the original did (a TIFF
    and a HEIC image are upright in any case)"""
    depth: Literal["scale", "clip"] = "scale"
    """more than 8 bits, or floats from 0 to 1: scaled by the range of the file's type; clip: levels above 255 are white
    and floats black, as in the original"""
    background: Literal["white", "black", "ignore"] = "white"
    """what is put behind transparent pixels; ignore: transparency is dropped, as the original did"""
    val_fraction: float = 0.2
    """share of each class held out for validation where there are no images for validation"""
    folds: int | None = None
    """images for training are dealt into this many folds, by class and seed; null: data.val_fraction decides"""
    fold: int | None = None
    """fold, from 0, that is for validation, the others being for training: of data.folds, or of the column fold"""
    classes: tuple[str, ...] | None = None
    """classes to train on, in the order of the outputs; null: all, sorted as strings"""
    share: float = 1.0
    """share of the images of each class that is used, for training and validation; for a quick try"""
    balance: Literal["none", "oversample", "weights"] = "none"
    """none: each image comes once an epoch; oversample: those of smaller classes come several times, so that all
    classes count as the largest; weights: as many draws as images, each of a class and then of one of its images"""
    cache: Literal["none", "memory", "disk"] = "none"
    """decoded images are kept after the first epoch: in the memory of the process, or on disk for later runs too"""
    cache_path: str | None = None
    """folder of the caches on disk; null: jaxnext/decoded in the user's cache folder"""
    verify: bool = False
    """true: decode every image before the first epoch and report all that cannot be read"""
    on_corrupt: Literal["stop", "skip"] = "stop"
    """an image that cannot be read: stop at it, or train without it and list it in corrupt.csv"""

    def __post_init__(self) -> None:
        require(self.path != (), "data.path", "one path or several", [])
        sizes = self.image_size if isinstance(self.image_size, dict) else {0: self.image_size}
        first = "sizes by the epochs done before each, from 0 on"
        require(min(sizes, default=1) == 0, "data.image_size", first, self.image_size)
        for size in sizes.values():
            found = list(size) if isinstance(size, tuple) else size
            sides = size if isinstance(size, tuple) else (size, size)
            require(len(sides) == 2, "data.image_size", "a whole number or [height, width]", found)
            require(min(sides) >= 1, "data.image_size", "at least 1 pixel", found)
            require(max(sides) < 2**16, "data.image_size", "at most 65535 pixels", found)
        require(0 < self.crop_share <= 1, "data.crop_share", "a share above 0 and at most 1", self.crop_share)
        require(0 < self.val_fraction < 1, "data.val_fraction", "a share between 0 and 1", self.val_fraction)
        require(self.folds is None or self.folds >= 2, "data.folds", "null or at least 2", self.folds)
        last = None if self.folds is None else self.folds - 1
        if last is not None:
            fits = self.fold is not None and 0 <= self.fold <= last
            require(fits, "data.fold", f"a number from 0 to {last}, since data.folds is {self.folds}", self.fold)
        require(self.fold is None or self.fold >= 0, "data.fold", "null or at least 0", self.fold)
        require(self.classes != (), "data.classes", "null or names of classes", [])
        require(0 < self.share <= 1, "data.share", "a share above 0 and at most 1", self.share)
        for key in ("image_column", "label_column", "group_column"):
            value = getattr(self, key)
            require(value is None or self.labels is not None, f"data.{key}", "null without data.labels", value)

    @property
    def final_size(self) -> int | tuple[int, ...]:
        """The setting as it is at the end of training, and in validation and prediction."""
        return self.image_size[max(self.image_size)] if isinstance(self.image_size, dict) else self.image_size

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of images in validation and prediction."""
        return _sides(self.final_size)

    def train_size(self, epochs: int) -> tuple[int, int]:
        """Return height and width of training images after so many epochs."""
        return _sides(in_force(self.image_size, epochs) if isinstance(self.image_size, dict) else self.image_size)

    @property
    def sizes(self) -> tuple[tuple[int, int], ...]:
        """Each height and width that images have in training or after it, once, the latter last."""
        found = dict.fromkeys(self.train_size(epochs) for epochs in (0, *self.changes))
        return (*(size for size in found if size != self.size), self.size)

    @property
    def changes(self) -> tuple[int, ...]:
        """Epochs after which the size of training images changes."""
        return tuple(sorted(set(self.image_size) - {0})) if isinstance(self.image_size, dict) else ()


def in_force(values: Mapping[int, _T], epochs: int) -> _T:
    """Return which of some values, each from a number of epochs on, is in force after so many epochs."""
    return values[max(begin for begin in values if begin <= epochs)]


def _sides(size: int | tuple[int, ...]) -> tuple[int, int]:
    height, width = size if isinstance(size, tuple) else (size, size)
    return height, width


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """The network: a ResNet or ResNeXt backbone, an attention module after its last stage, and a head."""

    block: Literal["bottleneck", "basic"] = "bottleneck"
    """convolutions of a block: bottleneck: 1x1, grouped 3x3, 1x1; basic: two 3x3, as in ResNet-18 and -34"""
    stage_sizes: tuple[int, ...] = (3, 4, 6, 3)
    """number of blocks in each stage"""
    widths: tuple[int, ...] = (128, 256, 512, 1024)
    """channels of the grouped 3x3 convolution in each stage; of basic blocks those of the first convolution"""
    features: tuple[int, ...] = (256, 512, 1024, 2048)
    """output channels of each stage"""
    stem_features: int = 64
    """output channels of the 7x7 convolution before the first stage"""
    groups: int = 32
    """groups of each 3x3 convolution (cardinality); 1 in basic blocks"""
    block_attention: Choice = dataclasses.field(default_factory=lambda: BLOCK_ATTENTIONS.choose("none"))
    """attention in every block, before the sum with the shortcut"""
    attention: Choice = dataclasses.field(default_factory=lambda: ATTENTIONS.choose("none"))
    """attention after the last stage"""
    head: Choice = dataclasses.field(default_factory=lambda: HEADS.choose("linear"))
    """from the last feature map to the class scores"""
    classes: int | None = None
    """number of classes; null: as many as the data has"""
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    """of red, green and blue in a range of 0 to 1, that images are normalised by: ImageNet's, or the weights'"""
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    """deviation of red, green and blue, likewise"""
    remat: bool = False
    """recompute each block's activations in the backward pass: less than half the memory, a fifth more time on a CPU"""
    freeze: tuple[str, ...] = ()
    """parts that are not trained, such as [stem, stage2]: their batch norms use and keep the running statistics they
    began with, and they cost no gradient; the names are those of the table of parameters"""
    unfreeze: dict[int, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    """parts of model.freeze that are trained after so many epochs: {3: [stage5], 6: [stage4]}"""
    weights: str | None = None
    """folder of a ported checkpoint or of a run to start from; null: start from scratch"""
    max_parameters: int = 100_000_000
    """a network with more parameters than this is refused"""

    def __post_init__(self) -> None:
        stages = len(self.stage_sizes)
        for name in ("stage_sizes", "widths", "features"):
            value = getattr(self, name)
            require(
                len(value) == stages and stages > 0 and all(v >= 1 for v in value),
                f"model.{name}",
                f"{max(stages, 1)} whole numbers of at least 1, one for each stage",
                list(value),
            )
        require(self.groups >= 1, "model.groups", "at least 1", self.groups)
        fits = self.block != "basic" or self.groups == 1
        require(fits, "model.groups", "1 with model.block basic, whose convolutions have no groups", self.groups)
        for width in self.widths:
            require(width % self.groups == 0, "model.widths", f"multiples of model.groups ({self.groups})", width)
        require(self.stem_features >= 1, "model.stem_features", "at least 1", self.stem_features)
        require(self.classes is None or self.classes >= 1, "model.classes", "null or at least 1", self.classes)
        for name in ("mean", "std"):
            require(len(getattr(self, name)) == 3, f"model.{name}", "three numbers", list(getattr(self, name)))
        require(min(self.std) > 0, "model.std", "numbers above 0", list(self.std))
        require(self.max_parameters >= 1, "model.max_parameters", "at least 1", self.max_parameters)
        once = len(set(self.freeze)) == len(self.freeze)
        require(once, "model.freeze", "each part once", list(self.freeze))
        require(min(self.unfreeze, default=1) >= 1, "model.unfreeze", "at least 1 epoch before a part", self.unfreeze)
        thawed = [part for parts in self.unfreeze.values() for part in parts]
        frozen = set(thawed) <= set(self.freeze) and len(set(thawed)) == len(thawed)
        require(frozen, "model.unfreeze", f"parts of model.freeze ({', '.join(self.freeze)}), each once", thawed)

    def frozen(self, epochs: int) -> tuple[str, ...]:
        """Return the parts that are not trained after so many epochs."""
        thawed = {part for begin, parts in self.unfreeze.items() if begin <= epochs for part in parts}
        return tuple(part for part in self.freeze if part not in thawed)


@dataclasses.dataclass(frozen=True)
class MixConfig:
    """Mixing of a batch's training images, and of their labels, in pairs."""

    mixup: float = 0.0
    """mixup, as torchvision's MixUp: images are blended after the augmentation, by a share drawn for each batch from
    Beta(alpha, alpha) with this alpha; training accuracy is that against the label with the larger share; 0: none"""
    cutmix: float = 0.0
    """cutmix, as torchvision's CutMix: a box of each image is another image's, its area drawn likewise; 0: none"""
    probability: float = 1.0
    """share of the batches that are mixed"""
    switch: float = 0.5
    """with both, share of the mixed batches that have cutmix"""
    off_epochs: int = 0
    """epochs at the end of the run that are trained without"""

    def __post_init__(self) -> None:
        for name in ("mixup", "cutmix"):
            alpha = getattr(self, name)
            require(math.isfinite(alpha) and alpha >= 0, f"mix.{name}", "a number of at least 0", alpha)
        fits = 0 < self.probability <= 1
        require(fits, "mix.probability", "a share above 0 and at most 1", self.probability)
        require(0 <= self.switch <= 1, "mix.switch", "a number from 0 to 1", self.switch)
        require(self.off_epochs >= 0, "mix.off_epochs", "at least 0", self.off_epochs)

    @property
    def on(self) -> bool:
        """Whether there is any mixing."""
        return self.mixup > 0 or self.cutmix > 0


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
    report_every: int = 0
    """write the page report.html into the run every this many epochs and at its end; 0: none"""
    logger: tuple[Choice, ...] = ()
    """where each epoch's figures are shown too, one or several; they alter no result"""
    data: DataConfig = dataclasses.field(default_factory=DataConfig)
    augment: tuple[Choice, ...] = dataclasses.field(default_factory=lambda: (AUGMENTATIONS.choose("original"),))
    """training augmentations, in the order in which they are applied"""
    mix: MixConfig = dataclasses.field(default_factory=MixConfig)
    model: ModelConfig = dataclasses.field(default_factory=ModelConfig)
    loss: Choice = dataclasses.field(default_factory=lambda: LOSSES.choose("cross_entropy"))
    """what is minimised; validation reports the plain cross-entropy in any case"""
    optimizer: Choice = dataclasses.field(default_factory=lambda: OPTIMIZERS.choose("adam"))
    """how parameters move along the gradient"""
    schedule: Choice = dataclasses.field(default_factory=lambda: SCHEDULES.choose("plateau"))
    """the learning rate of each step"""
    training: TrainingConfig = dataclasses.field(default_factory=TrainingConfig)
    """accumulation, averages and the length of the run"""
    checkpoint: CheckpointConfig = dataclasses.field(default_factory=CheckpointConfig)
    """when the run is saved"""

    def __post_init__(self) -> None:
        require(0 <= self.seed < 2**32, "seed", "a whole number from 0 to 4294967295", self.seed)
        require(self.epochs >= 1, "epochs", "at least 1", self.epochs)
        require(self.batch_size >= 1, "batch_size", "at least 1", self.batch_size)
        require(self.workers is None or self.workers >= 0, "workers", "null or at least 0", self.workers)
        fits = self.data.cache != "memory" or not self.workers
        require(fits, "workers", "null or 0 with data.cache memory, which worker processes cannot share", self.workers)
        require(self.report_every >= 0, "report_every", "at least 0", self.report_every)
        off = self.mix.off_epochs
        require(not self.mix.on or off < self.epochs, "mix.off_epochs", f"fewer than the epochs, {self.epochs}", off)
        twice = self.data.balance != "none" and self.loss.options.get("class_weights") == "balanced"
        alone = f"none or numbers with data.balance {self.data.balance}, which already makes up for rare classes"
        require(not twice, "loss.class_weights", alone, "balanced")
        for key, what in (("augment", "augmentation"), ("logger", "logger")):
            names = [choice.type for choice in getattr(self, key)]
            require(len(names) == len(set(names)), key, f"each {what} once", names)
        for key, changes in (("data.image_size", self.data.changes), ("model.unfreeze", tuple(self.model.unfreeze))):
            last = max(changes, default=0)
            require(last < self.epochs, key, f"changes before the last of {self.epochs} epochs", last)
        for choice in choices(self):
            if choice.alternatives.light:
                choice.check()


def choices(config: Config) -> Iterator[Choice]:
    """Yield every choice of a config, those of its sections first."""
    for section in (config.data, config.model, config):
        for field in dataclasses.fields(section):
            value: Any = getattr(section, field.name)
            yield from (item for item in (value if isinstance(value, tuple) else (value,)) if isinstance(item, Choice))


def alternatives_of(hint_key: str) -> Alternatives | None:
    """Return the folder that the setting of a dotted key chooses from; ``None`` where it is no choice."""
    folders = (SOURCES, AUGMENTATIONS, BLOCK_ATTENTIONS, ATTENTIONS, HEADS, LOSSES, OPTIMIZERS, SCHEDULES, LOGGERS)
    return next((folder for folder in folders if folder.key == hint_key), None)
