"""The ledger of submissions to a challenge, and the scores that came back.

A returned score is an opening of test that nobody sealed: whoever trains on after it has seen
something of the hidden labels. Decided here: the ledger lies beside the runs and is only ever added
to; a score is a line of its own, with its time; and a run of the same protocol that began after a
score came back is marked by that, whether or not anybody meant to use it (the paper found its
quantile by submissions, W2S-38).
"""

from __future__ import annotations

import datetime as dt
import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emoframe.core.errors import DataError
from emoframe.learning.run import CARD, Run

LEDGER = "submissions.jsonl"
LEVELS = 4
"""Folders above a run in which ledgers are looked for: `runs/ablation/row/seed-0` has so many."""


@dataclass(frozen=True)
class Entry:
    """One submission.

    Attributes:
        ledger: The file that it stands in.
        number: From 1 on, in the order of submitting.
        told: What was written down of it.
        score: What came back; None so far.
        scored: When that was written down; None so far.
    """

    ledger: Path
    number: int
    told: Mapping[str, Any]
    score: float | None = None
    scored: dt.datetime | None = None

    @property
    def name(self) -> str:
        """How it is called on the command line: the ledger and the number."""
        return f"{self.ledger}:{self.number}"

    def __str__(self) -> str:
        """What a reader of a result has to know of it."""
        when = f" on {self.scored:%Y-%m-%d %H:%M} UTC" if self.scored else ""
        score = "no score came back yet" if self.score is None else f"returned {self.score:g}"
        return f"submission {self.number} of {self.ledger} ({self.told['protocol']}): {score}{when}"


def entries(ledger: Path) -> list[Entry]:
    """Return what a ledger holds, with the scores that came back; empty where there is none.

    Raises:
        DataError: It cannot be read.
    """
    if not ledger.is_file():
        return []
    found: dict[int, Entry] = {}
    try:
        for line in ledger.read_text(encoding="utf-8").splitlines():
            told = json.loads(line)
            number = int(told["entry"])
            if "score" in told:
                scored = dt.datetime.fromisoformat(told["time"])
                entry = found[number]
                found[number] = Entry(ledger, number, entry.told, float(told["score"]), scored)
            else:
                found[number] = Entry(ledger, number, told)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{ledger} is damaged ({type(error).__name__}: {error}); mend or take away its broken "
            "line, since it says which runs have seen a returned score"
        ) from error
    return [found[number] for number in sorted(found)]


def record(ledger: Path, told: Mapping[str, Any]) -> Entry:
    """Write a submission down.

    Args:
        ledger: The file, which is made where there is none.
        told: Plain data; `protocol` in it says which later runs a score concerns.

    Raises:
        DataError: The ledger is damaged or cannot be written.
    """
    number = max((one.number for one in entries(ledger)), default=0) + 1
    told = {"entry": number, "time": _now(), **told}
    _append(ledger, told)
    return Entry(ledger, number, told)


def record_score(name: str, score: float) -> Entry:
    """Write down the score that came back for a submission.

    Args:
        name: `LEDGER:NUMBER`, as `emoframe submit` prints it.
        score: As the challenge gives it; it is compared with nothing.

    Raises:
        DataError: There is no such submission, it has a score, or that is no number.
    """
    file, _, number = name.rpartition(":")
    ledger = Path(file)
    known = {str(one.number): one for one in entries(ledger)} if file else {}
    if number not in known:
        has = f"{file} has {', '.join(known)}" if known else "there is no such ledger"
        raise DataError(
            f"there is no submission {name!r} ({has}); name it as LEDGER:NUMBER, as in "
            f"runs/mine/{LEDGER}:1"
        )
    entry = known[number]
    if entry.score is not None:
        raise DataError(f"{entry}; a ledger is only added to, and this is there already")
    if not math.isfinite(score):
        raise DataError(f"a score of {score} is no number; give what the challenge returned")
    line = {"entry": entry.number, "time": _now(), "score": score}
    _append(ledger, line)
    return Entry(ledger, entry.number, entry.told, score, dt.datetime.fromisoformat(line["time"]))


def after_leaderboard(run: Run) -> list[Entry]:
    """Return the submissions whose score was known when a run began, and is of its protocol.

    A result of such a run is selected by the leaderboard, as far as anybody can tell. Ledgers are
    looked for in the four folders above the run, and in the folders in these.
    """
    start = started(run)
    return [
        one
        for ledger in _ledgers(run.folder)
        for one in entries(ledger)
        if one.told["protocol"] == run.card["protocol"] and one.scored and one.scored <= start
    ]


def started(run: Run) -> dt.datetime:
    """Return when a run began: what its record says, else the time of that file.

    A copied file may be younger than the run; then the run is marked rather than not.
    """
    if told := run.card.get("started"):
        return dt.datetime.fromisoformat(told)
    return dt.datetime.fromtimestamp((run.folder / CARD).stat().st_mtime, dt.UTC)


def _ledgers(folder: Path) -> list[Path]:
    above = list(folder.resolve().parents)[:LEVELS]
    return sorted(
        {file for one in above for deep in ("", "*/") for file in one.glob(deep + LEDGER)}
    )


def _append(ledger: Path, line: Mapping[str, Any]) -> None:
    try:
        with ledger.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise DataError(f"the submission cannot be recorded in {ledger}: {error}") from error


def _now() -> str:
    return dt.datetime.now(dt.UTC).isoformat(timespec="microseconds")
