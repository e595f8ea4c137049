"""`openai_compatible` in the whole: videos in, a store of weak labels out, whatever goes wrong."""

from __future__ import annotations

import importlib.util
import json
import random
import sys
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from emoframe.core.errors import DataError
from emoframe.label import label, plan
from emoframe.weak_labels.store import LabelStore

_spec = importlib.util.spec_from_file_location(
    "fake_openai", Path(__file__).with_name("fake_openai.py")
)
assert _spec
assert _spec.loader
fake_openai = importlib.util.module_from_spec(_spec)
sys.modules["fake_openai"] = fake_openai  # its dataclass looks there for its annotations
_spec.loader.exec_module(fake_openai)
FakeOpenAI, KEY, completion = fake_openai.FakeOpenAI, fake_openai.KEY, fake_openai.completion

CLIPS = 12
NOW = {"retry-after": "0.01"}
UNDONE = (
    (429, "rate_limit_exceeded", f"Rate limit reached for {KEY}", NOW),
    (503, "overloaded", "The engine is overloaded", NOW),
)
FAULTS = (
    *UNDONE,
    (500, "server_error", f"failed for Bearer {KEY}", NOW),
    (504, "timeout", "Gateway Timeout", NOW),
    "reset",
    "cut",
)


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    """A table of short videos, none like another."""
    return table(tmp_path, CLIPS)


def table(tmp_path: Path, count: int) -> Path:
    rows = ["video,label,split,subject"]
    for n in range(count):
        with av.open(str(tmp_path / f"{n}.mp4"), "w") as film:
            stream = film.add_stream("libx264", rate=5, width=64, height=48)
            stream.pix_fmt = "yuv420p"
            for _ in range(3):
                picture = np.full((48, 64, 3), n // 14 * 17, np.uint8)
                picture[:, :32] = n % 14 * 17
                film.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            film.mux(stream.encode(None))
        rows.append(f"{n}.mp4,{('win', 'loss')[n % 2]},{'test' if n < 2 else 'train'},s{n}")
    path = tmp_path / "videos.csv"
    path.write_text("\n".join(rows))
    return path


def config(videos: Path, server: Any, **params: Any) -> Path:
    """Write a config that asks the server."""
    node = {"type": "openai_compatible", "base_url": server.url, "model": "tiny-vl", "frames": 2}
    content = {
        "dataset": {"type": "manifest", "path": str(videos)},
        "weak_labels": {
            "store": str(videos.parent / "labels.sqlite"),
            "vlm_labeler": node | params,
            "prompt": "simple",
        },
    }
    path = videos.parent / "label.yaml"
    path.write_text(json.dumps(content))  # JSON is YAML
    return path


def judged(body: dict[str, Any]) -> dict[str, Any]:
    """Answer as the schema of the request wants it."""
    fields = body["response_format"]["json_schema"]["schema"]["properties"]
    empty = {"array": [], "boolean": False, "string": ""}
    answer = {name: empty[field["type"]] for name, field in fields.items()}
    answer["confidences"] = [
        {"class": "win", "confidence": 0.8}, {"class": "loss", "confidence": 0.1},
    ]  # fmt: skip
    return completion(json.dumps(answer))


@pytest.mark.parametrize("count", [CLIPS, pytest.param(200, marks=pytest.mark.slow)])
def test_every_clip_is_labelled_through_a_storm_of_faults(tmp_path: Path, count: int) -> None:
    draw, videos = random.Random(1), table(tmp_path, count)
    faults = [draw.choice(FAULTS) if draw.random() < 0.3 else None for _ in range(10 * count)]
    with FakeOpenAI(answer=judged, fault=faults.__getitem__, pause_s=0.02) as server:
        file, patient = config(videos, server), ["weak_labels.attempts=12"]
        found = label(file, patient)
        assert dict(found.statuses) == {"ok": count}
        assert found.whole
        assert server.most <= 4
        calls = len(server.headers)
        assert found.summary.calls == calls > count
        # what reached the server and was not heard of again is all that was asked twice
        cut = sum(fault == "cut" for fault in faults[:calls])
        assert (len(server.counts), sum(server.counts.values())) == (count, count + cut)
        lost = sum(fault is not None and fault not in UNDONE for fault in faults[:calls])
        assert len(found.unknown) == lost
        assert label(file, patient).summary.calls == 0
        assert len(server.headers) == calls
    with LabelStore(tmp_path / "labels.sqlite") as store:
        labels = [answer.label for answer in store.answers()]
    assert [one.classes[one.label or 0] for one in labels if one] == ["win"] * count
    for path in tmp_path.iterdir():
        assert KEY.encode() not in path.read_bytes(), path.name


def test_what_was_said_of_one_clip_is_not_said_of_the_next(videos: Path) -> None:
    """Whoever permutes labels, subjects and names of files sends the same bytes."""
    sent: list[Any] = []
    for permuted in (False, True):
        if permuted:
            rows = videos.read_text().splitlines()
            swap = {"win": "loss", "loss": "win"}
            for n, row in enumerate(rows[1:], 1):
                video, name, split, subject = row.split(",")
                (videos.parent / video).rename(videos.parent / f"won-{subject}-{video}")
                rows[n] = f"won-{subject}-{video},{swap[name]},{split},other-{subject}"
            videos.write_text("\n".join(rows))
            (videos.parent / "labels.sqlite").unlink()
        with FakeOpenAI(answer=judged) as server:
            label(config(videos, server, send="video"), ["weak_labels.concurrency=1"])
            sent.append(sorted(server.counts))
    assert len(sent[0]) == CLIPS
    assert sent[0] == sent[1]


@pytest.mark.parametrize(
    ("answer", "ends"),
    [
        (completion('{"confidences": [{"cl', "length"), "unparsable"),
        (completion("", "content_filter"), "blocked"),
        (completion(None, refusal="I cannot help with that."), "refused"),
        (completion() | {"choices": []}, "unparsable"),
        (completion("It was a fine match."), "unparsable"),
    ],
)
def test_how_a_model_ends_is_the_status_in_the_store(
    videos: Path, answer: dict[str, Any], ends: str
) -> None:
    with FakeOpenAI(answer=lambda body: answer) as server:
        found = label(config(videos, server), ["weak_labels.concurrency=1"])
    assert set(found.statuses) <= {ends, "open"}
    assert found.statuses[ends]
    with LabelStore(videos.parent / "labels.sqlite") as store:
        for one in store.answers():
            assert one.reason
            assert one.reply is not None  # what came is kept, whatever it is


def test_an_account_without_money_is_not_asked_on_and_on(videos: Path) -> None:
    fault = (429, "insufficient_quota", "You exceeded your current quota", {})
    with FakeOpenAI(answer=judged, fault=lambda number: fault) as server:
        found = label(config(videos, server))
        assert len(server.headers) < CLIPS
        assert set(found.statuses) == {"quota", "open"}
        server.fault = lambda number: None
        assert dict(label(config(videos, server)).statuses) == {"ok": CLIPS}


def test_a_server_elsewhere_is_told_nothing_unless_uploads_are_allowed(videos: Path) -> None:
    with FakeOpenAI(answer=judged) as server:
        file = config(videos, server, forwards=True, model="tiny-vl")
        with pytest.raises(DataError, match=r"privacy\.upload"):
            label(file)
        assert not server.headers


def test_the_plan_is_a_bound_and_sends_nothing(videos: Path, tmp_path: Path) -> None:
    prices = tmp_path / "prices.yaml"
    prices.write_text("models: {tiny-vl: {tiers: [{input: 2.5, output: 10.0}]}}")
    with FakeOpenAI(answer=judged) as server:
        file = config(videos, server, forwards=True, max_output_tokens=1000)
        allowed = ["privacy.upload=allowed"]
        found = plan(file, allowed, prices=prices)
        assert not server.headers
        assert (found.questions, found.model) == (CLIPS, "tiny-vl")
        assert found.usd is not None
        done = label(file, allowed, prices=prices, budget=found.usd, i_may_upload="manifest:videos")
        assert dict(done.statuses) == {"ok": CLIPS}
        assert 0 < done.spent <= found.usd
