"""What was found about how sure a checkpoint may be, kept beside it: its temperature, and a threshold."""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jaxnext.atomic import whole_file
from jaxnext.config.choice import NONE
from jaxnext.engine.checkpoint import read_model
from jaxnext.engine.digests import digest_of
from jaxnext.errors import JaxnextError, UsageError, one_line
from jaxnext.types import Variables

FILE = "calibration.json"
FORMAT = 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Calibration:
    """What was fitted to labelled images, and how they were seen."""

    temperature: float
    """that the logits are divided by"""
    images: int
    log_loss: tuple[float, float]
    """before; and after, of each fifth of the images at the temperature that suits the others"""
    ece: tuple[float, float]
    """expected calibration error, the same"""
    accuracy: float | None = None
    """that was wanted of the images that are answered"""
    threshold: float | None = None
    """probability of the predicted class, at the temperature, from which on images are answered for it"""
    coverage: float | None = None
    """share of the images that are answered then"""
    energy: Mapping[str, float] | None = None
    """how well the energy tells the images from others, the figures of ``reporting.separation``"""
    tta: Mapping[str, Any] = dataclasses.field(default_factory=lambda: {"type": NONE})
    """test-time augmentation, its name and options"""
    image_size: int | list[int] | None = None
    """other than the run's own, that images were resized to"""
    weights: str = ""
    """``digest_of`` the checkpoint's"""


def write_calibration(checkpoint: Path, which: str, found: Calibration) -> Path:
    """Write, or write anew, what was found about a checkpoint; that about the run's other one stays.

    Args:
        checkpoint: folder of a run or of a ported checkpoint.
        which: ``best`` or ``last``.
        found: about it.

    Returns:
        the file.

    Raises:
        JaxnextError: the file that is there cannot be read, or not be written.
    """
    file = checkpoint / FILE
    entries = _entries(file) if file.exists() else {}
    with whole_file(file) as out:
        out.write(
            json.dumps({"format": FORMAT, **entries, which: dataclasses.asdict(found)}, indent=2, allow_nan=False)
        )
        out.write("\n")
    return file


def read_calibration(checkpoint: Path, which: str, variables: Variables | None = None) -> Calibration:
    """Read what was found about a checkpoint.

    Args:
        checkpoint: folder of a run or of a ported checkpoint.
        which: ``best`` or ``last``.
        variables: its, where they have been read already.

    Raises:
        JaxnextError: nothing was, the file cannot be read, or the checkpoint is another by now.
    """
    file = checkpoint / FILE
    command = f"jaxnext calibrate {checkpoint}" + ("" if which == "best" else f" --which {which}")
    entries = _entries(file) if file.exists() else {}
    if which not in entries:
        raise JaxnextError(f"{file}: expected what was fitted to {which}, found nothing; run {command}")
    try:
        values = entries[which]
        found = Calibration(**{**values, "log_loss": tuple(values["log_loss"]), "ece": tuple(values["ece"])})
    except (TypeError, KeyError) as error:
        raise JaxnextError(f"{file}: expected what jaxnext calibrate writes, found other keys ({error})") from error
    if not isinstance(found.temperature, int | float) or not 0 < found.temperature < float("inf"):
        raise JaxnextError(f"{file}: expected a temperature above 0, found {found.temperature!r:.80}")
    if not isinstance(found.threshold, int | float | None):
        raise JaxnextError(f"{file}: expected a number or null for threshold, found {found.threshold!r:.80}")
    if found.weights != digest_of(read_model(checkpoint, which)[0] if variables is None else variables):
        raise JaxnextError(f"{file}: expected what was fitted to the weights of {which}, found others; run {command}")
    return found


def check_temperature(temperature: Any) -> float:
    """Return a temperature.

    Raises:
        UsageError: it is no number above 0.
    """
    if not isinstance(temperature, int | float) or not 0 < temperature < float("inf"):
        raise UsageError(f"temperature: expected calibrated or a number above 0, found {temperature!r}")
    return float(temperature)


def check_seen(found: Calibration, tta: Mapping[str, Any], image_size: Any, checkpoint: Path) -> None:
    """Refuse a calibration of images that were seen otherwise.

    Args:
        found: as it was read.
        tta: test-time augmentation that is asked for.
        image_size: that is asked for.
        checkpoint: for the message.

    Raises:
        UsageError: one of the two is another.
    """
    size = list(image_size) if isinstance(image_size, tuple) else image_size
    for option, asked, had in (("tta", tta, found.tta), ("image_size", size, found.image_size)):
        if asked != had:
            raise UsageError(
                f"{checkpoint / FILE}: expected to be fitted with --{option} {_shown(asked)}, found {_shown(had)}; run "
                "jaxnext calibrate with the same options"
            )


def _shown(value: Any) -> str:
    return json.dumps(value["type"] if isinstance(value, Mapping) and len(value) == 1 else value)


def _entries(file: Path) -> dict[str, Any]:
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise JaxnextError(f"{file}: the file cannot be read ({one_line(error)})") from error
    if not isinstance(values, dict) or values.pop("format", None) != FORMAT:
        raise JaxnextError(f"{file}: expected format {FORMAT} of what jaxnext calibrate writes, found another")
    return values
