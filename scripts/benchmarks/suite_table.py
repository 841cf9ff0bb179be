"""The table of ``benchmark.py suite``. Every ratio is a speed: above 1 this project is the faster one."""

from typing import Any

from benchmarks.convolutions import DIRECTIONS, RULE, TORCH
from benchmarks.jax_steps import NAME
from benchmarks.report import text_table
from benchmarks.suite_parts import AUGMENTATIONS, RECOMPUTED, STORED
from benchmarks.torch_steps import TIMM

NATIVE = "native"


def table(result: dict[str, Any]) -> str:
    """The result for readers: of the parts that it has."""
    parts = result["parts"]
    if not parts:
        return "nothing is measured yet"
    where = result["machine"]
    dates = sorted(record["date"][:10] for record in parts.values())
    when = dates[0] if dates[0] == dates[-1] else f"{dates[0]} to {dates[-1]}"
    device = f"{where['gpu']}, driver {where['driver']}, " if where["gpu"] else ""
    versions = ", ".join(f"{name} {version}" for name, version in result["versions"].items() if version is not None)
    blocks = [
        f"{device}{where['cpu']}, {where['cores']} cores; {when}\n{versions}",
        _ceilings(parts),
        *_models(parts),
        _convolutions(parts),
        _augmentation(parts.get("augment")),
        _remat(parts.get("remat")),
        _left_out(parts),
    ]
    return "\n\n".join(block for block in blocks if block)


def best(parts: dict[str, Any], mode: str, name: str) -> tuple[float, int] | None:
    """Images a second of a candidate in bfloat16 at the batch that suits it best, and that batch."""
    found = [
        (record["results"][name]["images_per_second"], record["options"]["batch_size"])
        for record in parts.values()
        if record.get("mode") == mode and record["options"]["precision"] == "bfloat16" and name in record["results"]
    ]
    return max(found, default=None)


def sum_over_net(parts: dict[str, Any], direction: str, names: tuple[str, ...] | None) -> float | None:
    """Seconds of all 3x3 convolutions of the net: of each the fastest of these functions.

    Args:
        parts: of a result.
        direction: ``forward`` or ``forward_backward``.
        names: of the functions; every formulation where ``None``.

    Returns:
        ``None`` where one of the convolutions was not measured.
    """
    total, stages = 0.0, [record for name, record in parts.items() if name.startswith("grouped_conv_")]
    if not stages or len(stages) != len(stages[0]["options"]["model"]["widths"]):
        return None
    for record in stages:
        for shape, count in record["in_net"].items():
            seconds = [found["median_seconds"] for _, found in _measured(record, shape, direction, names)]
            if not seconds:
                return None
            total += count * min(seconds)
    return total


def _measured(record: dict[str, Any], shape: str, direction: str, names: tuple[str, ...] | None) -> Any:
    functions = record["results"].get(shape, {}).get(direction, {})
    chosen = [name for name in functions if name not in (RULE, *TORCH)] if names is None else names
    return [(name, functions[name]) for name in chosen if functions.get(name) is not None]


def _ceilings(parts: dict[str, Any]) -> str:
    found = _peaks(parts)
    lines = []
    for precision, peaks in found.items():
        lines.append(
            f"matrix product in {precision}: {peaks['jax_matmul_flops_per_second'] / 1e12:.1f} TFLOP/s in jax, "
            f"{peaks['torch_matmul_flops_per_second'] / 1e12:.1f} in torch"
        )
    if found:
        copies = max(peaks["copy_bytes_per_second"] for peaks in found.values())
        lines.append(f"copy: {copies / 1e9:.0f} GB/s read and written")
    return "\n".join(lines)


def _peaks(parts: dict[str, Any]) -> dict[str, Any]:
    return parts.get("ceilings", {}).get("results", {}).get("ceilings", {})


def _models(parts: dict[str, Any]) -> list[str]:
    blocks = []
    peaks = _peaks(parts)
    for mode, title in (("train", "training step"), ("inference", "inference")):
        head = ["images/s", "jaxnext's speed over it", "of peak", "memory GB", "compile s"]
        rows = [[title, *head]]
        for record in parts.values():
            if record.get("mode") != mode:
                continue
            options = record["options"]
            ours = record["results"].get(NAME)
            peak = peaks.get(options["precision"], {}).get("jax_matmul_flops_per_second")
            for name, found in record["results"].items():
                rate = found["images_per_second"]
                share = "" if peak is None else f"{rate * record['flops_per_image'] / peak:.1%}"
                over = "" if ours is None or name == NAME else f"{ours['images_per_second'] / rate:.2f}"
                what = f"{options['precision']}, batch {options['batch_size']}, {name}"
                if name in TIMM:
                    share = ""  # of another network
                rows.append([what, f"{rate:.1f}", over, share, _gigabytes(found), f"{found['compile_seconds']:.1f}"])
        if len(rows) > 1:
            notes = _best_lines(parts, mode)
            if any(row[0].endswith(TIMM) for row in rows):
                notes.append("timm's network is resnext50_32x4d with its linear head, without attention")
            blocks.append("\n".join([_setting(parts, mode), text_table(rows), *notes]))
    return blocks


def _setting(parts: dict[str, Any], mode: str) -> str:
    options = next(record["options"] for record in parts.values() if record.get("mode") == mode)
    size = options["image_size"]
    return f"{options['config']}, {size} x {size} pixels"


def _best_lines(parts: dict[str, Any], mode: str) -> list[str]:
    ours = best(parts, mode, NAME)
    names = dict.fromkeys(name for record in parts.values() if record.get("mode") == mode for name in record["results"])
    lines = []
    for name in names:
        theirs = best(parts, mode, name)
        if ours is not None and theirs is not None and name != NAME:
            lines.append(
                f"bfloat16, best batch each: {ours[0]:.1f} images/s (batch {ours[1]}) is {ours[0] / theirs[0]:.2f} "
                f"times {name}'s {theirs[0]:.1f} (batch {theirs[1]})"
            )
    return lines


def _convolutions(parts: dict[str, Any]) -> str:
    rows = [
        ["grouped 3x3 convolution", "in net", "direction", "native ms", "best ms", "native/best", "torch ms", "best"]
    ]
    for record in parts.values():
        for shape, count in record.get("in_net", {}).items():
            for direction in DIRECTIONS:
                functions = _measured(record, shape, direction, None)
                if not functions:
                    continue
                name, found = min(functions, key=lambda pair: pair[1]["median_seconds"])
                least = found["median_seconds"]
                times = [
                    min((one["median_seconds"] for _, one in _measured(record, shape, direction, names)), default=None)
                    for names in ((NATIVE,), TORCH)
                ]
                ratio = "-" if times[0] is None else f"{times[0] / least:.2f}"
                cells = [_milliseconds(times[0]), _milliseconds(least), ratio, _milliseconds(times[1]), name]
                rows.append([shape, str(count), direction, *cells])
    if len(rows) == 1:
        return ""
    lines = [text_table(rows)]
    for direction in DIRECTIONS:
        sums = [sum_over_net(parts, direction, names) for names in (None, (NATIVE,), (RULE,), TORCH)]
        fastest, native, rule, torch = sums
        if fastest is None:
            continue
        others = [("native", native), ("the rule's", rule), ("PyTorch's", torch)]
        lines.append(
            f"sum over the net, {direction}: the best ones {fastest * 1e3:.2f} ms; "
            + ", ".join(
                f"{name} {_milliseconds(value)}" + ("" if value is None else f" ({value / fastest:.2f} times)")
                for name, value in others
            )
        )
    return "\n".join(lines)


def _augmentation(record: dict[str, Any] | None) -> str:
    if record is None or not record["results"]:
        return ""
    rows = [["on the device", "images/s", "memory GB", "compile s"]]
    for name in AUGMENTATIONS:
        found = record["results"].get(name)
        if found is not None:
            cells = [f"{found['images_per_second']:.0f}", _gigabytes(found), f"{found['compile_seconds']:.1f}"]
            rows.append([f"{name}, batch {record['options']['batch_size']}", *cells])
    return text_table(rows)


def _remat(record: dict[str, Any] | None) -> str:
    if record is None or not record["results"]:
        return ""
    rows = [["training, activations", "images/s", "memory GB", "planned GB", "compile s"]]
    for name, found in record["results"].items():
        planned = found["compiled_memory_bytes"]
        cells = [f"{found['images_per_second']:.1f}", _gigabytes(found), "" if planned is None else _in_gb(planned)]
        what = {STORED: "stored", RECOMPUTED: "computed again (remat)"}[name]
        rows.append([f"{what}, batch {record['options']['batch_size']}", *cells, f"{found['compile_seconds']:.1f}"])
    lines = [text_table(rows)]
    stored, again = (record["results"].get(name) for name in (STORED, RECOMPUTED))
    if stored is not None and again is not None:
        line = f"remat: {again['median_seconds'] / stored['median_seconds']:.2f} times the time"
        if stored["peak_memory_bytes"] and again["peak_memory_bytes"]:
            line += f", {again['peak_memory_bytes'] / stored['peak_memory_bytes']:.2f} times the memory"
        lines.append(line)
    return "\n".join(lines)


def _left_out(parts: dict[str, Any]) -> str:
    lines = []
    for part, record in parts.items():
        lines += [f"{part}, {name}: left out, {why}" for name, why in record["left_out"].items()]
        for shape, found in record["results"].items():
            for name, why in found.get("left_out", {}).items():
                lines.append(f"{part}, {shape}, {name}: left out, {why}")
    return "\n".join(lines)


def _milliseconds(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds * 1e3:.2f}"


def _gigabytes(found: dict[str, Any]) -> str:
    return "" if found["peak_memory_bytes"] is None else _in_gb(found["peak_memory_bytes"])


def _in_gb(count: int) -> str:
    return f"{count / 1e9:.2f}"
