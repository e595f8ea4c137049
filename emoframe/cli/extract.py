"""`emoframe extract CONFIG`: videos become features in the store, once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from emoframe.cli.output import Json, Overrides, as_json, note, progress, rows, say
from emoframe.core.errors import EXIT_SOME_FAILED, EmoframeError

if TYPE_CHECKING:
    from emoframe.perception.events import Progress, Row

MOST_ROWS = 60
"""Above so many, only the failed ones are printed."""


def command(
    file: Annotated[Path, typer.Argument(help="A config, or the name of a shipped one.")],
    overrides: Overrides = None,
    video: Annotated[
        list[Path] | None, typer.Option(help="Extract this video instead of the data set's.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=0, help="Processes; 0: this one; default: one per core.")
    ] = None,
    executor: Annotated[
        Literal["local", "ray"], typer.Option(help="This machine, or a Ray cluster.")
    ] = "local",
    shard: Annotated[
        str | None, typer.Option(help="I/N: the I-th of N jobs, which share the videos.")
    ] = None,
    retry_failed: Annotated[bool, typer.Option(help="Try failed videos again.")] = False,
    max_failures: Annotated[
        int | None, typer.Option(min=0, help="Stop once more videos than this have failed.")
    ] = None,
    json: Json = False,
) -> None:
    """Extract every video of a config; what is done already is not done again."""
    from emoframe import api

    experiment = api.load(file, overrides or [])
    videos = video or api.videos(experiment)
    how = api.How(workers, executor, api.devices(), _shard(shard), retry_failed, max_failures)
    share = len(range(how.shard[0] - 1, len(videos), how.shard[1])) if how.shard else len(videos)
    stopped = ""
    with progress("stage", share * len(api.stage_keys_of(experiment))) as bar:

        def told(row: Row) -> None:
            bar.step(f"{row.video.name} {row.stage}: {row.status} {row.reason}")

        def at(one: Progress) -> None:
            bar.tell(f"{one.video.name} {one.stage}: frame {one.done}/{one.total}")

        try:
            table = api.extract(experiment, videos, how, on_row=told, on_progress=at)
        except api.StoppedError as error:
            table, stopped = api.table_of(error.rows), str(error)
    found = table.to_dict("records")
    failed = [row for row in found if row["status"] == "failed"]
    if json:
        as_json(found)
    elif len(found) <= MOST_ROWS:
        rows(found)
    else:
        say(f"{len(found)} stages of {share} videos; emoframe store ls lists them")
        rows([{key: row[key] for key in ("video", "stage", "reason")} for row in failed])
    if failed:
        count = len({row["video"] for row in failed})
        note(stopped or f"{count} of {share} videos failed; --retry-failed tries them all the same")
        raise typer.Exit(EXIT_SOME_FAILED)


def _shard(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    number, _, count = text.partition("/")
    if not (number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count)):
        raise EmoframeError(f"--shard {text}: must be I/N with I from 1 to N, such as 2/8")
    return int(number), int(count)
