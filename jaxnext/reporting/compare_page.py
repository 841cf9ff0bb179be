"""The comparison of several settings: one page with everything in it."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jaxnext.reporting.compare_charts import CHARTS, interval_bar, overlaid, swatch
from jaxnext.reporting.compare_charts import STYLE as COLOURS
from jaxnext.reporting.compared import ComparedRun
from jaxnext.reporting.comparison import Comparison, Difference, RunFigures, SettingFigures
from jaxnext.reporting.intervals import Figure
from jaxnext.reporting.page import document, text
from jaxnext.reporting.report_style import STYLE

_STYLE = """
.swatch { width: 22px; height: 8px; margin-right: 7px; vertical-align: 1px; }
.interval { display: block; width: 130px; height: 17px; }
.interval .zero { stroke: var(--soft); stroke-dasharray: 2 2; }
.interval .range { stroke: var(--ink); stroke-width: 2; }
.interval circle { fill: var(--ink); }
.more, .chance { white-space: nowrap; }
.more { color: var(--good); font-weight: 600; }
.chance { color: var(--soft); }
.legend { display: flex; flex-wrap: wrap; gap: 4px 18px; margin: 0 0 10px; padding: 0; list-style: none;
  font-size: 13px; overflow-wrap: anywhere; }
.ranking { padding: 12px 14px; }
.ranking p { color: var(--ink); }
.scroll table { min-width: 900px; }
table.sortable td small { display: block; white-space: nowrap; }
table.sortable td:first-child { min-width: 140px; max-width: 260px; }
#differences td:nth-child(2) { min-width: 120px; max-width: 260px; }
table.sortable td, table.sortable th { padding-left: 8px; padding-right: 8px; }
.charts { grid-template-columns: repeat(auto-fit, minmax(min(100%, 420px), 1fr)); }
@media print { .scroll table { min-width: 0; font-size: 10px; } td, th { padding: 3px 5px; } .charts > div {
  break-inside: avoid; } .interval { width: 90px; } .swatch line, .interval * { print-color-adjust: exact; } }
"""


def compare_page(title: str, comparison: Comparison, runs: Sequence[ComparedRun]) -> str:
    """Return the page.

    Args:
        title: its name.
        comparison: of the runs.
        runs: for their curves.
    """
    sets = f" in {comparison.blocks} sets, by fold or split" if comparison.blocks > 1 else ""
    count, all_runs = len(comparison.settings), comparison.runs
    main = [
        f"<p>{_count(count, 'setting')}, {_count(len(all_runs), 'run')}, {comparison.images:,} validation images"
        f"{sets}, predicted by each run's best epoch. Intervals are of 95 % confidence.</p>",
        _ranking(comparison),
        "<h2 id=settings-title>Settings</h2>",
        _settings(comparison),
        _differences(comparison),
        _curves(comparison, runs),
        "<h2>Runs</h2>",
        _runs(comparison),
    ]
    script = (Path(__file__).parent / "report.js").read_text(encoding="utf-8")
    return document(title, "".join(main), style=STYLE + COLOURS + _STYLE, script=script)


def _ranking(comparison: Comparison) -> str:
    best, *others = comparison.settings
    lines = [f"Most accurate: <b>{text(best.name)}</b>, {_percent(best.accuracy.value)}."]
    of_best = {each.second: each for each in comparison.differences if each.first == best.name}
    alike = [other.name for other in others if not of_best[other.name].distinguishable]
    worse = [other.name for other in others if of_best[other.name].distinguishable]
    if alike:
        lines.append(f"On these images <b>not distinguishable</b> from it: {_names(alike)}.")
    if worse:
        lines.append(f"Less accurate by more than chance: {_names(worse)}.")
    return f"<section class=ranking>{''.join(f'<p>{line}</p>' for line in lines)}</section>"


def _settings(comparison: Comparison) -> str:
    heads = ("setting", "runs", "validation accuracy", "validation loss", "macro F1", "training accuracy")
    heads += ("training loss", "parameters", "time of a run")
    rows = [_setting_cells(setting, place) for place, setting in enumerate(comparison.settings)]
    note = "" if len(comparison.runs) == len(comparison.settings) else "<p>Figures are means over a setting's runs.</p>"
    return f"{note}{_sortable('settings', heads, rows)}"


def _setting_cells(setting: SettingFigures, place: int) -> list[str]:
    return [
        _name(setting.name, swatch(place)),
        _number(len(setting.runs), f"{len(setting.runs)}"),
        _percent_cell(setting.accuracy),
        *(_number(setting.mean(name), _decimal(setting.mean(name))) for name in ("loss",)),
        *(_number(setting.mean(name), _percent(setting.mean(name))) for name in ("macro_f1", "train_accuracy")),
        _number(setting.mean("train_loss"), _decimal(setting.mean("train_loss"))),
        _number(setting.runs[0].parameters, f"{setting.runs[0].parameters:,}"),
        _number(setting.mean("seconds"), _time(setting.mean("seconds"))),
    ]


def _differences(comparison: Comparison) -> str:
    if not comparison.differences:
        return ""
    ends = [abs(end) for each in comparison.differences for end in each.accuracy]
    heads = ("more accurate", "less accurate", "difference", "interval", "from chance", "p", "first only")
    heads += ("second only", "images to decide")
    rows = [_difference_cells(each, max(ends)) for each in comparison.differences]
    return (
        "<h2>Differences</h2><p>In points of validation accuracy, paired over the same images. A difference counts "
        "where its interval leaves out zero and McNemar's test has p below 0.05; any other is not distinguishable "
        f"from chance.</p>{_sortable('differences', heads, rows)}{_caveats(comparison)}"
    )


def _difference_cells(each: Difference, most: float) -> list[str]:
    words = "<span class=more>more than chance</span>"
    if not each.distinguishable:
        words = "<span class=chance>not distinguishable</span>"
    figure = each.accuracy
    decide = _number(math.nan, "none found") if each.decide is None else _number(each.decide, _about(each.decide))
    return [
        _name(each.first),
        _name(each.second),
        _number(figure.value, f"{100 * figure.value:+.2f}"),
        f'<td class=number data-value="{figure.low:.9g}">{interval_bar(figure, most)}'
        f"{100 * figure.low:+.2f} to {100 * figure.high:+.2f}</td>",
        f'<td data-value="{int(each.distinguishable)}">{words}</td>',
        _number(each.test.p_value, "&lt; 0.001" if each.test.p_value < 0.001 else f"{each.test.p_value:.3f}"),
        _number(each.only_first, f"{each.only_first:,}"),
        _number(each.only_second, f"{each.only_second:,}"),
        decide,
    ]


def _caveats(comparison: Comparison) -> str:
    single = all(len({run.seed for run in setting.runs}) == 1 for setting in comparison.settings)
    lines = [
        "Images to decide: so many, for each run, would show a difference of the size found in four of five "
        "cases (power 0.8, two-sided 5 %), if the settings disagreed on as large a share of them.",
    ]
    if len(comparison.differences) > 1:
        lines.append(
            "Each interval is by itself: of differences that are chance alone one in twenty would be taken for more, "
            f"and here are {len(comparison.differences)}."
        )
    if single:
        lines.append(
            "Each setting was trained with one seed: how much another seed would change is not in the intervals "
            "(jaxnext compare --seeds 3 trains several)."
        )
    else:
        lines.append(
            "Intervals are a bootstrap over images, runs and sets of images. Of few runs it is too narrow rather than "
            "too wide. Images that a setting got right in more of its runs than the other are counted as only its own."
        )
    best = max(comparison.settings, key=lambda setting: len(setting.runs))
    if best.runs and any(run.epochs > 1 for run in best.runs):
        lines.append(
            "The best epoch was chosen on these very images, so that every accuracy here is a little too high; for "
            "settings trained alike the differences are less so."
        )
    return "".join(f"<p>{line}</p>" for line in lines)


def _curves(comparison: Comparison, runs: Sequence[ComparedRun]) -> str:
    histories: dict[str, Any] = {run.name: run.facts.history for run in runs}
    of_settings = [[histories[run.name] for run in setting.runs] for setting in comparison.settings]
    legend = "".join(
        f"<li>{swatch(place)}{text(setting.name)}</li>" for place, setting in enumerate(comparison.settings)
    )
    thin = "" if len(comparison.runs) == len(comparison.settings) else "<p>Thick: the mean; thin: each run.</p>"
    charts = "".join(f"<div>{overlaid(of_settings, name)}</div>" for name in CHARTS)
    return f"<h2>Curves</h2>{thin}<ul class=legend>{legend}</ul><div class=charts>{charts}</div>"


def _runs(comparison: Comparison) -> str:
    heads = ("run", "seed", "fold", "images", "validation accuracy", "validation loss", "macro F1")
    heads += ("training accuracy", "training loss", "best epoch", "time")
    places = {setting.name: place for place, setting in enumerate(comparison.settings)}
    return _sortable("runs", heads, [_run_cells(run, places[run.setting]) for run in comparison.runs])


def _run_cells(run: RunFigures, place: int) -> list[str]:
    return [
        _name(run.name, swatch(place)),
        _number(run.seed, f"{run.seed}"),
        _number(math.nan if run.fold is None else run.fold, "-" if run.fold is None else f"{run.fold}"),
        _number(run.images, f"{run.images:,}"),
        _percent_cell(run.accuracy),
        _number(run.loss.value, _decimal(run.loss.value)),
        _percent_cell(run.macro_f1),
        _number(run.train_accuracy, _percent(run.train_accuracy)),
        _number(run.train_loss, _decimal(run.train_loss)),
        _number(run.epoch, f"{run.epoch} of {run.epochs}"),
        _number(run.seconds, _time(run.seconds)),
    ]


def _sortable(place: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table that is sorted by a click; ``rows`` of whole cells, numbers where their class says so."""
    kinds = [" class=number" if "class=number" in cell else "" for cell in rows[0]]
    head = "".join(
        f"<th{kind} scope=col><button type=button>{name}</button></th>" for kind, name in zip(kinds, heads, strict=True)
    )
    body = "".join(f'<tr data-place="{i}">{"".join(cells)}</tr>' for i, cells in enumerate(rows))
    return (
        f"<div class=scroll id={place}><table class=sortable><thead><tr>{head}</tr></thead>"
        f"<tbody>{body}</tbody></table></div>"
    )


def _name(name: str, before: str = "") -> str:
    return f'<td data-value="{text(name)}">{before}{text(name)}</td>'


def _number(value: float, shown: str) -> str:
    # A value that is missing stays last.
    return f'<td class=number data-value="{"" if math.isnan(value) else f"{value:.9g}"}">{shown}</td>'


def _percent_cell(figure: Figure) -> str:
    ends = f"<small>{_percent(figure.low)} to {_percent(figure.high)}</small>"
    return f'<td class=number data-value="{figure.value:.9g}">{_percent(figure.value)} {ends}</td>'


def _names(names: Sequence[str]) -> str:
    return ", ".join(f"<b>{text(name)}</b>" for name in names)


def _percent(value: float) -> str:
    return "-" if math.isnan(value) else f"{100 * value:.2f} %"


def _decimal(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.4f}"


def _time(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _about(count: int) -> str:
    """With two digits that count: it is a guess."""
    digits = max(len(str(count)) - 2, 0)
    return f"about {round(count, -digits):,}"


def _count(count: int, what: str) -> str:
    return f"{count:,} {what}{'s' * (count != 1)}"
