"""`emoframe label` with Gemini while much goes wrong: nothing is lost, paid twice or overspent.

The command runs in this process, so that its back-off can be short; all else is the real thing:
config, store, clips, SDK, HTTP.
"""

from __future__ import annotations

import csv
import functools
import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import av
import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

import emoframe.label
from emoframe.cli.app import build_app
from emoframe.labelling import Usage
from emoframe.weak_labels.asking.limits import How
from emoframe.weak_labels.asking.price import cost
from emoframe.weak_labels.store import LabelStore

Run = Callable[..., dict[str, Any]]
CONCURRENCY = 6


def write_videos(folder: Path, count: int) -> Path:
    """Write videos of a second, each of another shade, and a table of them."""
    with (folder / "wimbledon.csv").open("w") as file:
        table = csv.writer(file)
        table.writerow(["video", "label", "split", "subject"])
        for n in range(count):
            name = f"match-{n}-lost-by-smith.mp4"
            with av.open(str(folder / name), "w") as container:
                stream = container.add_stream("libx264", rate=5, width=32, height=32)
                stream.pix_fmt = "yuv420p"
                for t in range(5):
                    rgb = np.full((32, 32, 3), (n, n * 7 % 256, 20 * t), np.uint8)
                    container.mux(stream.encode(av.VideoFrame.from_ndarray(rgb, format="rgb24")))
                container.mux(stream.encode(None))
            table.writerow([name, ("lost", "won")[n % 2], ("train", "test")[n % 3 == 2], f"s{n}"])
    return folder / "wimbledon.csv"


@pytest.fixture
def run(
    server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fake: ModuleType
) -> Callable[[int], Run]:
    """Prepare so many videos; what it returns runs `emoframe label` and gives what it says."""
    monkeypatch.setattr(emoframe.label, "How", functools.partial(How, backoff_s=0.01))
    store = tmp_path / "labels.sqlite"

    def prepare(count: int, **parameters: Any) -> Run:
        gemini = {
            "type": "gemini", "base_url": server.url, "inline_below_mb": 0.0, "poll_s": 0.01,
            "timeout_s": 5.0, "upload_timeout_s": 1.0, "max_output_tokens": 1000, "thinking": 200,
            **parameters,
        }  # fmt: skip
        config = {
            "base": "quickstart",
            "dataset": {"type": "manifest", "path": str(write_videos(tmp_path, count))},
            "weak_labels": {
                "store": str(store), "vlm_labeler": gemini, "concurrency": CONCURRENCY,
                "task": "One person is filmed after a match.",
            },
            "privacy": {"upload": "allowed"},
        }  # fmt: skip
        (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))

        def label(*options: str) -> dict[str, Any]:
            words = ["label", str(tmp_path / "config.yaml"), "--json", *options]
            done = CliRunner().invoke(build_app(), words)
            assert fake.KEY not in done.output
            if done.exception and not isinstance(done.exception, SystemExit):
                raise done.exception
            return json.loads(done.stdout)

        return label

    return prepare


def labelled_under_fire(server: Any, run: Run, store: Path, count: int) -> None:
    """Label until all is done while 30 % of all requests fail; check what the user was promised."""
    server.think_s = 0.15  # long enough that calls overlap
    yes = ("--i-may-upload", "manifest:wimbledon")
    plan = run("--plan")
    assert not server.said and plan["questions"] == count
    budget = plan["usd"] * 0.1
    found = run(*yes, "--budget", str(budget))
    assert found["spent"] <= budget and found["statuses"]["open"] > 0
    runs, before = 1, 0
    while found["statuses"] != {"ok": count}:
        assert runs < 30, found["statuses"]
        budget += plan["usd"]
        found, runs = run("--budget", str(budget)), runs + 1
        assert found["spent"] <= budget, "the budget was exceeded"
        assert found["statuses"].get("ok", 0) >= before, "an answer was lost"
        before = found["statuses"].get("ok", 0)
    assert len(server.answered) == count, "not every clip was asked about"
    assert set(server.answered.values()) == {1}, "a stored answer was asked again"
    assert 1 < server.most <= CONCURRENCY
    assert server.requests["generate"] > count, "nothing failed"
    billed = sum(
        cost("gemini-2.5-pro", Usage(one["promptTokenCount"], one["candidatesTokenCount"], 50)) or 0
        for one in server.billed
    )
    assert billed <= found["spent"], "something was paid that the store does not count"
    assert not server.files, "uploads were left behind"
    check_store(store, count)
    calls = server.requests.total()
    again = run("--budget", "0")
    assert again["statuses"] == {"ok": count} and server.requests.total() == calls


def check_store(store: Path, count: int) -> None:
    """Every answer is there, whole."""
    with LabelStore(store) as opened:
        answers = opened.answers()
    assert len(answers) == count
    for answer in answers:
        assert answer.label is not None and answer.label.classes == ("lost", "won")
        assert answer.label.confidence == (0.8, 0.2) and answer.label.label == 0
        assert answer.reply and answer.reply.model == "gemini-2.5-pro-preview-99"


def check_privacy(server: Any, folder: Path, key: str) -> None:
    """No file of the run holds the key, and nothing but hashes went to the server."""
    for path in folder.rglob("*"):
        assert not path.is_file() or key.encode() not in path.read_bytes(), path
    said = "\n".join(server.said)
    assert "smith" not in said and "wimbledon" not in said and str(folder) not in said


def test_all_is_labelled_once_although_three_of_ten_requests_fail(
    server: Any, run: Callable[..., Run], tmp_path: Path, fake: ModuleType
) -> None:
    server.chaos = fake.Chaos(0.3, seed=1)
    labelled_under_fire(server, run(24), tmp_path / "labels.sqlite", 24)
    check_privacy(server, tmp_path, fake.KEY)


@pytest.mark.slow
def test_two_hundred_are_labelled_once_although_three_of_ten_requests_fail(
    server: Any, run: Callable[..., Run], tmp_path: Path, fake: ModuleType
) -> None:
    server.chaos = fake.Chaos(0.3, seed=2)
    labelled_under_fire(server, run(200), tmp_path / "labels.sqlite", 200)
    check_privacy(server, tmp_path, fake.KEY)


def test_every_way_to_answer_badly_ends_in_a_status_with_a_sentence(
    server: Any, run: Callable[..., Run], tmp_path: Path
) -> None:
    faults = [
        "SAFETY", "RECITATION", "SPII", "blocked prompt", "empty", "no parts", "MAX_TOKENS",
        "thought out", "wrong types", "MALFORMED_RESPONSE", "prose", "400", "413",
    ]  # fmt: skip
    server.script["generate"] = [*faults]
    found = run(len(faults))("--i-may-upload", "manifest:wimbledon")
    assert found["statuses"] == {"blocked": 4, "unparsable": 6, "ok": 1, "error": 2}
    with LabelStore(tmp_path / "labels.sqlite") as opened:
        answers = opened.answers()
    assert all(answer.reason for answer in answers if answer.status != "ok")
    paid = [answer for answer in answers if answer.status != "error"]
    assert all(answer.reply and answer.usd for answer in paid), "what was paid for is kept"


def test_a_batch_is_collected_after_a_restart(
    server: Any, run: Callable[..., Run], tmp_path: Path
) -> None:
    label = run(5)
    found = label("--batch", "--i-may-upload", "manifest:wimbledon")
    assert found["statuses"] == {"waiting": 5} and not server.answered
    assert label("--batch")["statuses"] == {"waiting": 5}
    assert label("--batch")["statuses"] == {"ok": 5}
    check_store(tmp_path / "labels.sqlite", 5)
    assert len(server.batches) == 1 and server.requests["generate"] == 0
    with LabelStore(tmp_path / "labels.sqlite") as opened:
        answers = opened.answers()
    whole = [cost("gemini-2.5-pro", answer.reply.usage) for answer in answers if answer.reply]
    assert [answer.usd for answer in answers] == pytest.approx(
        [(usd or 0) / 2 for usd in whole], abs=1e-6
    )


def test_a_batch_of_unknown_fate_that_is_listed_late_is_not_handed_in_twice(
    server: Any, run: Callable[..., Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The line broke after the service took it, and the service lists it a little later."""
    server.script["batch"], server.list_late = ["lost"], 2
    label = run(4)
    assert label("--batch", "--i-may-upload", "manifest:wimbledon")["statuses"] == {"waiting": 4}
    for _ in range(2):
        found = label("--batch")
        assert found["statuses"] == {"waiting": 4}
        assert "is given up in 60 minutes" in found["summary"]["notes"][0]
    assert label("--batch")["statuses"] == {"waiting": 4}
    assert label("--batch")["statuses"] == {"ok": 4}
    assert len(server.batches) == 1 and server.requests["batch"] > 0
    check_store(tmp_path / "labels.sqlite", 4)


def test_a_batch_that_never_turns_up_is_given_up_in_the_end_and_handed_in_anew(
    server: Any, run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    server.script["batch"] = ["reset"]
    label = run(3)
    assert label("--batch", "--i-may-upload", "manifest:wimbledon")["statuses"] == {"waiting": 3}
    assert label("--batch")["statuses"] == {"waiting": 3} and not server.batches
    at_once = functools.partial(How, backoff_s=0.01, grace_s=0.0)
    monkeypatch.setattr(emoframe.label, "How", at_once)
    found = label("--batch")
    assert "never reached the service; its questions are asked anew" in found["summary"]["notes"][0]
    assert label("--batch")["statuses"] == {"waiting": 3}
    assert label("--batch")["statuses"] == {"ok": 3} and len(server.batches) == 1


def test_without_a_key_nothing_is_sent_and_nothing_is_closed(
    server: Any, run: Callable[..., Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    label = run(2)
    monkeypatch.delenv("GEMINI_API_KEY")
    words = ["label", str(tmp_path / "config.yaml"), "--i-may-upload", "manifest:wimbledon"]
    done = CliRunner().invoke(build_app(), words)
    assert "set GEMINI_API_KEY" in str(done.exception) and not server.said
    monkeypatch.setenv("GEMINI_API_KEY", server.key)
    assert label()["statuses"] == {"ok": 2}
