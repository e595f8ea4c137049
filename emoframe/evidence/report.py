"""One self-contained page per result: nothing on it without its interval, baseline and origin."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined

from emoframe.core import config
from emoframe.core.files import write_text
from emoframe.evidence.breakdown import per_subject, worst
from emoframe.evidence.evaluate import saved_predictions
from emoframe.evidence.metrics import Scores, openings
from emoframe.learning.run import Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


MOST = 20
"""Subjects that are listed."""


@dataclass(frozen=True)
class VideoPanel:
    """A video on the page.

    Attributes:
        title: What it is and where it came from.
        picture: A contact sheet, PNG.
        parts: Quality and motion per layout group, as `part_rows` gives them.
        facts: How it was extracted, line by line.
    """

    title: str
    picture: Path
    parts: Sequence[dict[str, Any]]
    facts: Sequence[str] = ()


def write_report(
    path: Path,
    run: Run,
    scores: Scores,
    split: str,
    videos: Sequence[VideoPanel] = (),
    remarks: Sequence[str] = (),
) -> Path:
    """Write the page of a run.

    Args:
        path: The HTML file.
        run: What was trained.
        scores: How good it is on `split`.
        split: `val`, `held` or `test`; the predictions that were written of it say which
            subjects and clips the run gets wrong.
        videos: Videos to show the keypoints of.
        remarks: Sentences that a reader must not miss.

    Returns:
        The path.
    """
    templates = Environment(
        loader=PackageLoader("emoframe", "templates"), autoescape=True, undefined=StrictUndefined
    )
    templates.filters["number"] = lambda x: (
        "" if x is None else f"{x:.3f}" if isinstance(x, float) else x
    )
    page = templates.get_template("report.html").render(
        run=run,
        scope=_scope(run, split),
        wrong=_wrong(run, split),
        scores=scores,
        split=split,
        remarks=remarks,
        openings=openings(run.folder),
        confusion=_svg(_confusion(scores, run.classes)),
        curves=_svg(_curves(run.history())),
        videos=[(panel, _data_url(panel.picture)) for panel in videos],
        config=config.dump(run.experiment),
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, page)
    return path


def _scope(run: Run, split: str) -> str:
    """Say what the result is of."""
    asked, mode = run.experiment, run.mode
    fold = f", fold {asked.fold} of {asked.folds}" if asked.folds else ""
    return f"{split} ({run.card['protocol']}), seed {asked.seed}{fold}{f', {mode}' * bool(mode)}"


def _wrong(run: Run, split: str) -> dict[str, list[dict[str, Any]]]:
    """Return whom and what the run gets wrong, worst first; nothing where it was not scored."""
    if not (run.folder / f"predictions-{split}.csv").is_file():
        return {}
    predictions = saved_predictions(run, split)
    by_subject = per_subject(predictions, run.classes)
    found = {"Items that it is most wrong about": worst(predictions, run.classes)}
    if any(one.subject for one in predictions):
        found = {f"Subjects, of {len(by_subject)} the worst": by_subject.head(MOST)} | found
    return {title: table.to_dict("records") for title, table in found.items()}


def _figure(width: float, height: float) -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure  # without pyplot no window system is asked for

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots()


def _confusion(scores: Scores, classes: Sequence[str]) -> Figure:
    counts = scores.confusion
    figure, axes = _figure(3.4, 3.0)
    axes.imshow(counts / np.maximum(counts.sum(1, keepdims=True), 1), cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(counts):
        share = count / max(counts[row].sum(), 1)
        axes.text(
            column, row, str(count), ha="center", va="center", color="w" if share > 0.5 else "k"
        )
    ticks = range(len(classes))
    axes.set_xticks(ticks, classes, rotation=90 if len(classes) > 4 else 0)
    axes.set_yticks(ticks, classes)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    return figure


def _curves(history: Sequence[dict[str, float]]) -> Figure:
    from matplotlib.ticker import MaxNLocator

    figure, axes = _figure(5.0, 3.0)
    epochs = [row["epoch"] for row in history]
    axes.plot(epochs, [row["train_loss"] for row in history], label="training")
    axes.plot(epochs, [row["val_loss"] for row in history], label="validation")
    if history:
        best = min(history, key=lambda row: row["val_loss"])
        axes.axvline(best["epoch"], color="0.6", linestyle=":", label="selected")
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_ylabel("loss")
    axes.legend(frameon=False)
    return figure


def _svg(figure: Figure) -> str:
    text = io.StringIO()
    figure.savefig(text, format="svg")
    return text.getvalue().partition("<svg")[1] + text.getvalue().partition("<svg")[2]


def _data_url(picture: Path) -> str:
    return "data:image/png;base64," + base64.b64encode(picture.read_bytes()).decode()
