"""A server that recognises players is told of by `emoframe labels probe`, through the real SDK.

The server decodes what it was sent, as the service does, and knows a film by how bright it is; so
nothing but the picture tells it who is seen, and a picture is all that it needs.
"""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from typer.testing import CliRunner

from emoframe.cli.app import build_app

FAMOUS = dict(
    enumerate(
        (
            "Ada Lovelace",
            "Carl Gauß",
            "Émile Borel",
            "Emmy Noether",
            "Max Born",
            "Olga Taussky",
            "Felix Klein",
        )
    )
)
PEOPLE, EACH, STEP = 9, 3, 8


def film(path: Path, level: int) -> None:
    """Write a film of one brightness."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, width=64, height=48)
        stream.pix_fmt = "yuv420p"
        for _ in range(4):
            rgb = np.full((48, 64, 3), level, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(rgb, format="rgb24")))
        container.mux(stream.encode(None))


def number_of(data: bytes) -> int:
    """Say which film this is by its first picture."""
    with av.open(io.BytesIO(data)) as container:
        rgb = next(container.decode(video=0)).to_ndarray(format="rgb24")
    return round((float(rgb.mean()) - 20) / STEP)


@pytest.fixture
def films(tmp_path: Path) -> Path:
    """Three films of each of nine people, the first seven of them famous, as a table."""
    with (tmp_path / "films.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["id", "video", "label", "split", "subject"])
        for n in range(PEOPLE * EACH):
            film(tmp_path / f"{n}.mp4", 20 + STEP * n)
            label = ("lose", "win")[n % 2]
            table.writerow([f"film-{n}", f"{n}.mp4", label, "train", f"p{n // EACH}"])
    return tmp_path


def recognises(server: Any) -> Any:
    """Return what the server answers: it knows the famous, and guesses about the others."""

    def reply(body: dict[str, Any]) -> str:
        video, text = body["contents"][0]["parts"]
        name = "files/" + video["fileData"]["fileUri"].rpartition("/")[2]
        number = number_of(server.files[name]["data"])
        famous = FAMOUS.get(number // EACH)
        result, person = (
            "how the person behaves" in text["text"],
            "Who is the person" in text["text"],
        )
        if person or "At which event" in text["text"]:
            said = (famous if person else "Paris 1900") if famous else ""
            shares = {"recognised": 0.95 if famous else 0.05, "not recognised": 0.05}
            if not famous:
                shares["not recognised"] = 0.95
            more: dict[str, Any] = {"name": said, "abstain": False}
        else:
            guess = number % 2 if famous else (number // 2) % 2
            shares = {"lose": 0.9 - 0.8 * guess, "win": 0.1 + 0.8 * guess}
            more = {"abstain": result and not famous}
        rows = [{"class": one, "confidence": share} for one, share in shares.items()]
        told = "The lips press." if number else f"{FAMOUS[0]} looks down."
        return json.dumps({**more, "confidences": rows, "note": told})

    return reply


def test_a_server_that_recognises_some_players_is_told_of(
    server: Any, fake: Any, films: Path
) -> None:
    server.reply = recognises(server)
    config = films / "config.yaml"
    config.write_text(f"""\
dataset: {{type: manifest, path: {films}/films.csv}}
features: {{keypoints: null, text: rationale}}
model: {{branches: {{keypoints: null, text: {{text_encoder: {{type: tfidf}}}}}}}}
privacy: {{upload: allowed}}
weak_labels:
  store: {films}/labels.sqlite
  prompt: simple
  vlm_labeler: {{type: gemini, base_url: "{server.url}", poll_s: 0.01, inline_below_mb: 0}}
""")
    run = ["labels", "probe", str(config), "--json", "--out", str(films / "out")]
    found = CliRunner().invoke(build_app(), [*run, "--i-may-upload", "manifest:films"])
    assert found.exit_code == 0, (found.output, found.exception)
    told = {one["title"]: one for one in json.loads(found.stdout)["sections"]}
    person = told["Does it recognise the person?"]["lines"][0]
    assert person.startswith("LEAK: it names the person in 21 of 27 videos")
    assert "names go with the subjects" in person
    assert told["Does it recognise the event?"]["lines"][0].startswith("LEAK")
    assert told["Does it know the result?"]["lines"][0].startswith("LEAK: it claims to know")
    assert told["Do rationales betray it?"]["lines"][0].startswith("LEAK: 1 items")
    (split,) = (one for title, one in told.items() if title.startswith("Are labels better"))
    assert split["rows"][0]["value"]["value"] == 1.0
    shown = told["What is left where less is shown?"]
    assert shown["lines"][0].startswith("LEAK: one frame scores")
    assert any("there are no keypoints of it" in line for line in shown["lines"])
    page = (films / "out" / "probe.html").read_text()
    for text in (found.output, page):
        assert fake.KEY not in text
        assert not any(name in text for name in FAMOUS.values())
    asked = server.requests["generate"]
    assert asked == 27 * 6, "labels and persons, whole and still; event; result"
    assert CliRunner().invoke(build_app(), run).exit_code == 0
    assert server.requests["generate"] == asked, "nothing is asked again"
