"""What a kill of labelling costs: at most the calls in flight, which are listed, and no answer.

Run as a script, this file is the labelling that the tests kill.
"""

from __future__ import annotations

import importlib.util
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from emoframe.weak_labels.asking.ask import Summary, ask
from emoframe.weak_labels.asking.inquiry import Inquiry
from emoframe.weak_labels.asking.limits import How
from emoframe.weak_labels.asking.plan import left
from emoframe.weak_labels.database import Database
from emoframe.weak_labels.store import LabelStore


def _module(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec
    assert spec.loader
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


scripted = _module("scripted")
PROMPT, RECORD = scripted.PROMPT, scripted.RECORD
CONCURRENCY, FEW = 3, 6
COMMITS = 2 + 2 * FEW
"""The prompt, the labeler, and of each question its reservation and its answer."""
SOME = (5, 16, 19)
MOMENTS = [
    pytest.param(n, marks=() if n in SOME else pytest.mark.slow) for n in range(1, 1 + 2 * COMMITS)
]
Count = Counter[tuple[str, int]]


def label(store: Path, url: str, count: int, seconds: float = 0.0) -> Summary:
    """Ask about so many clips what has not been answered, as `emoframe label` does."""
    how = How(concurrency=CONCURRENCY, backoff_s=0.01)
    labeler = scripted.Remote(url, seconds)
    with LabelStore(store) as labels:
        labels.orphaned()
        wanted = left(scripted.Clips().asked(count), labels, RECORD, PROMPT)
        return ask(wanted, Inquiry(labeler, RECORD, PROMPT, labels, how))


def content(store: Path) -> list[tuple[Any, ...]]:
    """All that does not differ between two runs: no times, no attempts, no cost."""
    with LabelStore(store) as labels:
        assert len(labels.prompts()) == len(labels.labelers()) == 1
        assert not labels.calls("open")
        return [
            (one.key, one.status, one.reason, one.reply, one.label, one.versions)
            for one in labels.answers()
        ]


def twice(answered: Count) -> Count:
    """Count the answers that were sent more than once."""
    return Counter({key: count - 1 for key, count in answered.items() if count > 1})


def unknown(store: Path) -> Count:
    with LabelStore(store) as labels:
        return Counter((one.key.clip, one.key.sample) for one in labels.calls("unknown"))


@cache
def undisturbed(count: int) -> list[tuple[Any, ...]]:
    """What is in the store after a run about so many clips that nobody disturbed."""
    with tempfile.TemporaryDirectory() as folder, scripted.server() as (url, _):
        store = Path(folder) / "labels.sqlite"
        label(store, url, count)
        found = content(store)
    assert len(found) == count
    return found


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_kill_at_any_commit_costs_the_calls_in_flight_and_no_answer(
    tmp_path: Path, moment: int
) -> None:
    store = tmp_path / "labels.sqlite"
    with scripted.server(fails=0.3) as (url, answered):
        child = _labelling(store, url, FEW, moment=moment)
        assert child.wait() == -signal.SIGKILL
        label(store, url, FEW)
    assert content(store) == undisturbed(FEW)
    assert twice(answered) <= unknown(store)
    assert unknown(store).total() <= CONCURRENCY


@pytest.mark.parametrize(
    ("kills", "count"), [(3, 30), pytest.param(20, 150, marks=pytest.mark.slow)]
)
def test_kills_at_random_moments_cost_the_calls_in_flight_and_no_answer(
    tmp_path: Path, kills: int, count: int
) -> None:
    store, draw = tmp_path / "labels.sqlite", random.Random(kills)
    with scripted.server(fails=0.3) as (url, answered):
        for _ in range(kills):
            before, known = answered.total(), twice(answered).total()
            child = _labelling(store, url, count, seconds=0.02)
            while answered.total() == before:
                assert child.poll() is None
                time.sleep(0.002)
            time.sleep(draw.random() * 0.15)
            child.kill()
            child.wait()
            time.sleep(0.05)  # what was sent before the kill still arrives
            assert twice(answered).total() - known <= CONCURRENCY
        assert len(answered) < count
        label(store, url, count)
    assert content(store) == undisturbed(count)
    assert twice(answered) <= unknown(store)
    assert unknown(store).total() <= kills * CONCURRENCY


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_lets_calls_in_flight_finish_and_sends_no_more(
    tmp_path: Path, number: signal.Signals
) -> None:
    store = tmp_path / "labels.sqlite"
    with scripted.server() as (url, answered):
        child = _labelling(store, url, 40, seconds=0.3)
        _wait_for(answered, CONCURRENCY, child)
        child.send_signal(number)
        out, _ = child.communicate(timeout=10)
        assert child.returncode == 0
        summary = json.loads(out)
        assert f"stopped by {number.name}" in summary["stopped"]
        assert summary["statuses"] == {"ok": answered.total()}
        assert CONCURRENCY <= answered.total() <= 2 * CONCURRENCY
    assert len(content(store)) == answered.total()
    assert not unknown(store)


def test_a_second_signal_ends_at_once(tmp_path: Path) -> None:
    with scripted.server() as (url, answered):
        child = _labelling(tmp_path / "labels.sqlite", url, 40, seconds=20.0)
        _wait_for(answered, CONCURRENCY, child)
        child.send_signal(signal.SIGINT)
        time.sleep(0.3)
        assert child.poll() is None
        child.send_signal(signal.SIGINT)
        assert child.wait(timeout=5) == -signal.SIGINT


def _wait_for(answered: Count, calls: int, child: subprocess.Popen[str]) -> None:
    while answered.total() < calls:
        assert child.poll() is None
        time.sleep(0.002)


def _labelling(
    store: Path, url: str, count: int, *, seconds: float = 0.0, moment: int = 0
) -> subprocess.Popen[str]:
    arguments = [str(store), url, str(count), str(seconds), str(moment)]
    return subprocess.Popen(
        [sys.executable, __file__, *arguments], stdout=subprocess.PIPE, text=True
    )


def _be_killed_at_commit(moment: int) -> None:
    """Die by SIGKILL around the n-th commit after the store was opened: just before, or after."""
    writing, count = Database.writing, 0

    @contextmanager
    def deadly(self: Database) -> Iterator[Any]:
        nonlocal count
        with writing(self) as db:
            yield db
            count += db.total_changes > 0
            mine = count
            if 2 * mine - 1 == moment:
                os.kill(os.getpid(), signal.SIGKILL)
        if 2 * mine == moment:
            os.kill(os.getpid(), signal.SIGKILL)

    Database.writing = deadly


if __name__ == "__main__":
    if moment := int(sys.argv[5]):
        _be_killed_at_commit(moment)
    done = label(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), float(sys.argv[4]))
    sys.stdout.write(json.dumps({"stopped": done.stopped, "statuses": done.statuses}))
