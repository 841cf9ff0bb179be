"""What a report says of the run itself: data, settings, net, machine, pace."""

import statistics
from collections.abc import Mapping
from typing import Any

from jaxnext.config.mapping import flat
from jaxnext.config.sections import Config
from jaxnext.config.yaml_text import dump_config
from jaxnext.reporting.page import definitions, more, table, text
from jaxnext.reporting.run_facts import RunFacts

_CORRUPT = 200
"""At most so many images that could not be read are listed."""
_OF_THE_DATA = ("train_images", "val_images", "classes")
_OF_THE_MACHINE = ("devices", "platform", "processes")


def run_sections(run: RunFacts, parameters: Mapping[str, int]) -> str:
    """Return the sections, in HTML.

    Args:
        run: what its folder says.
        parameters: of each part of the net.
    """
    said = run.description
    counts = [
        ("training images", _shown(said.get("train_images"))),
        ("validation images", _shown(said.get("val_images"))),
        ("classes", _shown(len(said["classes"]) if "classes" in said else None)),
        ("images that could not be read", f"{len(run.corrupt):,}"),
    ]
    parts = ["<h2 id=run>The run</h2><h3>Data</h3>", definitions(counts)]
    if run.corrupt:
        rows = [(image.name, image.reason) for image in run.corrupt[:_CORRUPT]]
        parts += [table(("file", "reason"), rows), more(len(run.corrupt) - _CORRUPT)]
    parts += ["<h3>Settings that are not the defaults</h3>", _differences(run.config)]
    parts.append(f"<details><summary>All settings</summary><pre>{text(dump_config(run.config))}</pre></details>")
    total = sum(parameters.values())
    sizes = [(part, f"{count:,}") for part, count in parameters.items()]
    parts += ["<h3>Parameters</h3>", definitions([*sizes, ("total", f"{total:,}")])]
    parts += ["<h3>Pace</h3>", definitions(_pace(run))]
    machine = [(name, _shown(said.get(name))) for name in _OF_THE_MACHINE]
    versions = [(n, _shown(value)) for n, value in said.items() if n not in (*_OF_THE_DATA, *_OF_THE_MACHINE)]
    return "".join([*parts, "<h3>Hardware</h3>", definitions(machine), "<h3>Versions</h3>", definitions(versions)])


def _differences(config: Config) -> str:
    own, defaults = flat(config), flat(Config())
    rows = [
        (key, _setting(value), _setting(defaults[key]) if key in defaults else "not there")
        for key, value in own.items()
        if key not in defaults or value != defaults[key]
    ]
    return table(("setting", "value", "default"), rows) if rows else "<p>All are the defaults.</p>"


def _pace(run: RunFacts) -> list[tuple[str, str]]:
    seconds = sum(record["seconds"] for record in run.history)
    waited = sum(record["seconds"] * record["data_wait_fraction"] for record in run.history)
    pace = statistics.median(record["images_per_second"] for record in run.history)
    return [
        ("epochs", f"{len(run.history)} of {run.config.epochs}"),
        ("time, validation included", f"{seconds:,.0f} s"),
        ("training images a second, median of the epochs", f"{pace:,.1f}"),
        ("share of the time that waited for data", f"{waited / seconds:.1%}" if seconds else "unknown"),
    ]


def _setting(value: Any) -> str:
    """As YAML has it, without quotes."""
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_setting, value))}]"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value)


def _shown(value: Any) -> str:
    if value is None:
        return "unknown"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, list | tuple):
        return ", ".join(map(_shown, value)) or "none"
    return str(value)
