"""A trained net to another format: written beside, run and compared, and only then given its name."""

import contextlib
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import jax

from jaxnext.atomic import whole_file
from jaxnext.data.pixels import Pixels
from jaxnext.engine.checkpoint import read_model
from jaxnext.engine.network import network
from jaxnext.errors import JaxnextError, UsageError
from jaxnext.file_digests import beside, has_seal, write_beside, write_sums
from jaxnext.inference.calibration import check_temperature, read_calibration
from jaxnext.inference.export_check import TOLERANCE, Comparison, compare, given_images, made_images
from jaxnext.inference.exporter import FORMATS, Exporter, Net
from jaxnext.inference.predictor import Predictor
from jaxnext.inference.weights_exporter import WeightsExporter
from jaxnext.weights.export import class_lines


def read_net(
    checkpoint: Path,
    which: str = "best",
    temperature: float | Literal["calibrated"] = 1.0,
    pixels: Pixels | None = None,
) -> Net:
    """Read a net as ``export`` takes it; ``classes`` are empty where no head is trained.

    A net that was trained in bfloat16 is exported in float32, as its parameters are.

    Args:
        checkpoint: folder of a run or of a ported checkpoint.
        which: ``best`` or ``last``.
        temperature: that the logits are divided by; ``calibrated``: what ``jaxnext calibrate`` found.
        pixels: how images become what the net sees; ``None``: as in validation.

    Raises:
        JaxnextError: no such checkpoint, one that cannot be read, or no fitted temperature.
        UsageError: a temperature that is not above 0.
    """
    variables, meta = read_model(checkpoint, which)
    config = meta.config
    classes = (meta.classes or ()) if "head" in meta.trained else ()
    model = network(config.model, len(classes) or 1, "float32" if config.precision == "bfloat16" else config.precision)
    if temperature == "calibrated":
        divisor = read_calibration(checkpoint, which, variables).temperature
    else:
        divisor = check_temperature(temperature)
    return Net(checkpoint, model, variables, classes, meta, pixels or Pixels.of(config.data), divisor)


def export(
    net: Net,
    exporter: Exporter,
    output: Path,
    *,
    images: Sequence[Path] | None = None,
    classes: Path | None = None,
    overwrite: bool = False,
    say: Callable[[str], None],
    warn: Callable[[str], None],
) -> Comparison | None:
    """Write a net in a format. It appears whole, after what was written has given the net's own answers, or not at all.

    It has its SHA-256 with it, as ``file_digests`` says; ``jaxnext verify`` compares them.

    Args:
        net: that is exported.
        exporter: of the format.
        output: file or folder.
        images: folders, archives and image files that both are asked about; ``None``: made ones.
        classes: text file that receives the class names, a name a line in the order of the outputs.
        overwrite: whether what is there is replaced.
        say: shows a line to the user.
        warn: the same, for what was left out.

    Returns:
        how far the two are apart; ``None`` where nothing was computed, which the user is told.

    Raises:
        UsageError: a missing library; images for a format that holds weights alone, which computes nothing.
        JaxnextError: something is there already; no trained head; a net that the format cannot hold; answers that are
            not the net's; class names asked for that are not there or are not lines; what cannot be written.
    """
    exporter.check()
    weights = isinstance(exporter, WeightsExporter)
    _check_free(output, classes, overwrite)
    if not net.classes and not weights:
        raise JaxnextError(
            f"{net.checkpoint}: expected a trained head, found the parts {', '.join(net.meta.trained)}; pth and "
            "safetensors hold weights without one"
        )
    if not weights and net.meta.config.precision == "float64" and not jax.config.read("jax_enable_x64"):
        raise JaxnextError(
            f"{net.checkpoint}: a float64 checkpoint needs jax.config.update('jax_enable_x64', True) first"
        )
    if not net.classes and classes is not None:
        raise JaxnextError(
            f"--classes {classes}: expected class names to write, found no trained head in {net.checkpoint}"
        )
    if weights and images is not None:
        raise UsageError(
            "--images: expected a format that computes, found one of weights, which are compared to the bit"
        )
    names = None if classes is None else class_lines(net.classes, str(classes))
    asked = [] if weights else made_images(net.pixels)
    if images is not None:
        asked = given_images(images, net.pixels, warn)
    if not weights and net.meta.config.precision == "bfloat16":
        say(f"{net.checkpoint}: was trained in bfloat16, and is exported and compared in float32")
    with _placed(output, overwrite) as part:
        exporter.write(net, part)
        if weights:
            exporter.run(net, part, [])
            found, lines = None, exporter.lines(net, output, classes)
        else:
            found = compare(net, exporter, part, asked)
            lines = [f"{output}: {_figures(found, len(asked), 'made' if images is None else 'given')}"]
    if classes is not None and names is not None:
        with whole_file(classes) as file:
            file.write(names)
        lines.append(f"{classes}: {len(net.classes):,} class names")
    for line in lines:
        say(line)
    return found


def export_classifier(
    classifier: Predictor,
    output: Path,
    form: str | None,
    options: Mapping[str, Any],
    images: Sequence[str | Path] | None,
    overwrite: bool,
    say: Callable[[str], None],
) -> None:
    """Write a loaded classifier, at its temperature and image size; arguments and errors as ``Predictor.export``."""
    net = classifier.only_net("export", "; export one at a time, or their mean by jaxnext average")
    name = output.suffix.removeprefix(".") if form is None else form
    try:
        exporter = FORMATS.choose(name, **options).build()
    except ValueError as error:
        raise UsageError(str(error)) from error
    read = read_net(net.checkpoint, net.which, net.temperature, net.pixels)
    paths = None if images is None else [Path(image) for image in images]
    export(read, exporter, output, images=paths, overwrite=overwrite, say=say, warn=say)


def _figures(found: Comparison | None, count: int, kind: str) -> str:
    if found is None:
        return "written, but not compared: the format's own runtime is not installed"
    labels = "labels equal"
    if found.level:
        labels = f"labels equal but of {found.level}, whose two classes are level to within {TOLERANCE:g}"
    return f"{count} {kind} images, largest error {found.error:.1e} of the largest logit, {labels}"


def _check_free(output: Path, classes: Path | None, overwrite: bool) -> None:
    for option, path in (("--output", output), ("--classes", classes)):
        if path is None or not (path.is_symlink() or path.exists()):
            continue
        kind = "a folder" if path.is_dir() else "a file"
        if not overwrite:
            raise JaxnextError(
                f"{path}: expected nothing there yet, found {kind}; {option} another, or --overwrite true"
            )


@contextlib.contextmanager
def _placed(output: Path, overwrite: bool) -> Iterator[Path]:
    """Give the path of what takes the place of ``output``, with its digests, when the block ends well."""
    if not output.name:
        raise JaxnextError(f"{output}: expected the name of a file, found a folder")
    work = output.with_name(f".{output.name}.part")
    try:
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        part = work / output.name
        yield part
        needs_file = part.is_file() and not has_seal(part)
        if part.is_dir():
            write_sums(part)
        if needs_file and not overwrite and beside(output).exists():
            raise JaxnextError(
                f"{beside(output)}: expected nothing there yet, found a file; --output another, or --overwrite true"
            )
        if output.is_dir() and not output.is_symlink():
            _clear(output, part)
        if needs_file:
            write_beside(part)
        part.replace(output)
        if needs_file:
            beside(part).replace(beside(output))
        else:
            # A digest of what was there before is none of this.
            beside(output).unlink(missing_ok=True)
    except OSError as error:
        raise JaxnextError(f"{output}: the export cannot be written ({error.strerror or error})") from error
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _clear(output: Path, part: Path) -> None:
    """Remove a folder that is to be replaced, if it holds an earlier export and nothing else."""
    known = {file.name for file in part.iterdir()} if part.is_dir() else set()
    others = sorted(file.name for file in output.iterdir() if file.name not in known)
    if others or not part.is_dir():
        found = others[0] if others else "a folder"
        raise JaxnextError(f"{output}: expected an earlier export to replace, found {found}")
    shutil.rmtree(output)
