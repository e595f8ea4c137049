"""`emoframe submit RUN... --format FILE`: a challenge submission, and the score that came back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from emoframe.cli.output import Json, as_json, note, say
from emoframe.core.errors import DataError


def command(
    runs: Annotated[
        list[Path] | None, typer.Argument(help="Run folders; several are averaged.")
    ] = None,
    format: Annotated[
        Path, typer.Option(help="Form of the file: a YAML file, or a shipped submissions/NAME.")
    ] = Path("submissions/csv"),
    out: Annotated[Path, typer.Option(help="The file that is written.")] = Path("submission.csv"),
    threshold: Annotated[
        Literal["val", "held", "none"],
        typer.Option(help="Where a threshold is chosen; none names the most probable class."),
    ] = "none",
    metric: Annotated[
        Literal["accuracy", "balanced_accuracy"],
        typer.Option(help="What the threshold makes largest."),
    ] = "accuracy",
    entry: Annotated[
        str, typer.Option(metavar="LEDGER:NUMBER", help="A submission whose score came back.")
    ] = "",
    score: Annotated[float | None, typer.Option(help="The score that came back for it.")] = None,
    json: Json = False,
) -> None:
    """Write a submission from what runs say of the test items; no test label is opened."""
    if bool(entry) != (score is not None) or bool(runs) == bool(entry):
        raise DataError(
            "give runs, to write a submission; or --entry LEDGER:NUMBER with --score, to record "
            "what came back"
        )
    if entry and score is not None:
        from emoframe.evidence.submissions.ledger import record_score

        found = record_score(entry, score)
        if json:
            as_json({"entry": found.name, "score": found.score})
        else:
            say(str(found))
            note("runs of this protocol that begin from now on are marked as leaderboard-selected")
        return
    _write(runs or [], format, out, threshold, metric, json=json)


def _write(
    runs: list[Path],
    format: Path,
    out: Path,
    threshold: Literal["val", "held", "none"],
    metric: Literal["accuracy", "balanced_accuracy"],
    *,
    json: bool,
) -> None:
    from emoframe.evidence.submissions.form import load_format
    from emoframe.evidence.submissions.submit import submit

    form = load_format(format)
    done = submit(runs, form, out, threshold, metric)
    if json:
        as_json({"file": str(done.file), "entry": done.entry.name, **done.entry.told})
    else:
        named = ", ".join(f"{count} {name}" for name, count in sorted(done.named.items()))
        of = f"{len(runs)} run{'s' * (len(runs) > 1)}"
        say(f"{done.file}: {sum(done.named.values())} items by {of} ({named})")
        if chosen := done.threshold:
            say(
                f"threshold {chosen.value:.3f}, chosen on {threshold}: {metric} there "
                f"{chosen.apparent:.3f}, on other subjects {chosen.nested}"
            )
    if form.note:
        note(f"note: {form.note}")
    for one in done.same:
        note(f"the very same file as {one}")
    note(f"when the score is back: emoframe submit --entry {done.entry.name} --score SCORE")
