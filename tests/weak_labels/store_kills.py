"""Labels a few clips through a kill -9 before each SQL statement in turn, and then to the end.

Run as a program, so that every child is forked from a process that holds no store:
    store_kills.py FOLDER STEP
kills at every STEP-th statement, and prints what was seen of each kill as JSON.
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from emoframe.labelling import Prompt, Reply
from emoframe.weak_labels import database
from emoframe.weak_labels.store import Answer, LabelerRecord, LabelStore, QuestionKey, now

PROMPT = Prompt("p", "s", "t", {}, ("a", "b"))
LABELER = LabelerRecord("ab" * 32, {"type": "x"}, {}, "m", False, False)
CLIPS = 2
CALLS_USD = 0.01


def label(store: Path, served: Path) -> None:
    """Ask what is not answered yet; each question that reaches the server is counted there."""
    with LabelStore(store) as opened:
        prompt = opened.add_prompt(PROMPT)
        opened.add_labeler(LABELER)
        opened.orphaned()
        keys = [QuestionKey(f"{n:064x}", prompt, LABELER.key, 0) for n in range(CLIPS)]
        done = opened.statuses(prompt, LABELER.key)
        for key in keys:
            if key in done:
                continue
            call = opened.reserve(key, 2 * CALLS_USD, 1.0)
            with served.open("a") as log:
                log.write(key.clip + "\n")
            text = Reply(f"about {key.clip}")
            opened.settle(call, Answer(key, "ok", "", text, None, CALLS_USD, 1, now(), now(), {}))


def arm(point: int) -> None:
    """Kill this process before it gives SQLite its `point`-th statement."""
    original, seen = database.Database._connect, 0

    def counted(_: str) -> None:
        nonlocal seen
        seen += 1
        if seen == point:
            os.kill(os.getpid(), signal.SIGKILL)

    def connect(self: database.Database, mode: str) -> sqlite3.Connection:
        db = original(self, mode)
        db.set_trace_callback(counted)
        return db

    database.Database._connect = connect


def run(store: Path, served: Path, point: int) -> bool:
    """Label in a fork, and say whether it was killed."""
    child = os.fork()
    if child == 0:
        arm(point)
        label(store, served)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    killed = os.WIFSIGNALED(status)
    if status and not killed:
        raise SystemExit(f"labelling ended with status {status}")
    return killed


def seen(store: Path, served: Path) -> dict[str, Any]:
    """Say what a store holds, and what the server saw."""
    asked = served.read_text().split() if served.exists() else []
    if not store.exists():
        return {"asked": asked, "spent": 0.0, "answers": [], "states": [], "spare": False}
    opened = LabelStore(store)
    answers = [repr(replace(one, asked_at="", answered_at="", calls=0)) for one in opened.answers()]
    return {
        "asked": asked,
        "spent": opened.spent(),
        "answers": answers,
        "states": sorted(one.state for one in opened.calls()),
        "spare": store.with_name(store.name + ".spare").exists(),
    }


def main(folder: Path, step: int) -> None:
    """Kill at every `step`-th statement until there is none left."""
    told: list[dict[str, Any]] = []
    point, killed = 0, True
    while killed:
        point += step
        store, served = folder / f"{point}.sqlite", folder / f"{point}.log"
        killed = run(store, served, point)
        one = {"killed": killed, "after_kill": seen(store, served)}
        run(store, served, 0)
        told.append({**one, "at_end": seen(store, served)})
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
