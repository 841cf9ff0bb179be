"""The page of a run that is still trained: its curves, pictures and settings, in one file that loads itself again."""

import base64
from collections.abc import Mapping

from jaxnext.reporting.page import document, paragraphs, text
from jaxnext.reporting.page_charts import run_charts
from jaxnext.reporting.report_run import run_sections
from jaxnext.reporting.report_style import STYLE
from jaxnext.reporting.run_facts import RunFacts

_STYLE = "main img.sheet{width:auto;max-width:100%;height:auto}"


def live_page(
    name: str, run: RunFacts, parameters: Mapping[str, int], pictures: Mapping[str, bytes], refresh: int | None
) -> str:
    """Return the page.

    Args:
        name: of the run.
        run: what its folder says.
        parameters: of each part of the net.
        pictures: PNG files under their titles.
        refresh: seconds after which it loads itself again; ``None``: it does not, as the run has ended.
    """
    last = run.history[-1]
    best = max(run.history, key=lambda record: record["val_accuracy"])
    tiles = (
        (f"{best['val_accuracy']:.2%}", "best validation accuracy", f"epoch {best['epoch']}"),
        (f"{last['val_accuracy']:.2%}", "validation accuracy", f"training {last['train_accuracy']:.2%}"),
        (f"{last['val_loss']:.4f}", "validation loss", f"training {last['train_loss']:.4f}"),
        (f"{len(run.history)} of {run.config.epochs}", "epochs", f"{last['seconds']:,.0f} s for the last"),
    )
    shown = "".join(f"<li><b>{text(a)}</b>{text(b)}<small>{text(c)}</small></li>" for a, b, c in tiles)
    state = "done or stopped" if refresh is None else f"being trained; the page loads itself again every {refresh} s"
    main = [
        *paragraphs([f"After epoch {last['epoch']}. The run is {state}."]),
        f"<ul class=tiles>{shown}</ul>",
        "<h2 id=curves>Curves</h2><div class=charts>",
        *(f"<div>{chart}</div>" for chart in run_charts(run.history)),
        "</div>",
        *(
            f"<h2>{text(title)}</h2><img class=sheet alt='{text(title)}' "
            f"src='data:image/png;base64,{base64.b64encode(file).decode()}'>"
            for title, file in pictures.items()
        ),
        run_sections(run, parameters),
    ]
    return document(f"Run: {name}", "".join(main), style=STYLE + _STYLE, refresh=refresh)
