"""A run says what it makes of a video of one's own, whatever mix of inputs it reads."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from emoframe import api
from emoframe.core.errors import DataError
from emoframe.label import label
from emoframe.learning.data import prepare
from emoframe.learning.experiment import Experiment
from emoframe.perception.pipeline import How

pytestmark = pytest.mark.usefixtures("parts_plugin")
SMALL = "temporal_encoder: {type: transformer, dim: 8, layers: 1, heads: 2}, out_dim: 8"
BRANCHES = {
    "keypoints": f"{{keypoint_backbone: {{type: mlp, hidden: 8}}, {SMALL}}}",
    "frames": f"{{keypoint_backbone: null, {SMALL}}}",
    "transcript": "{text_encoder: {type: tfidf, max_features: 32}, out_dim: 8}",
    "text": "{text_encoder: {type: tfidf, max_features: 32}, out_dim: 8}",
}
SOURCES = {
    "keypoints": "pose_estimator",
    "frames": "colour",
    "transcript": "dataset",
    "text": "rationale",
}
MIXES = [["text"], list(BRANCHES)]


@pytest.fixture
def table(make_video: Callable[..., Path], tmp_path: Path) -> Path:
    """A table of ten videos with what was said, one of them in a file."""
    lines = ["video,label,split,subject,transcript"]
    for n in range(10):
        video = make_video(f"{n}.mp4", frames=20 + n)
        said = "said.txt" if n == 3 else "we won" if n % 2 else "we lost"
        split = "test" if n > 7 else "train"
        lines.append(f"{video.name},{('lose', 'win')[n % 2]},{split},s{n},{said}")
    (tmp_path / "said.txt").write_text("we won by far")
    (tmp_path / "videos.csv").write_text("\n".join(lines))
    return tmp_path / "videos.csv"


def config(table: Path, names: list[str], more: str = "") -> Experiment:
    folder = table.parent
    features = ", ".join(f"{name}: {SOURCES[name]}" for name in names)
    branches = "".join(f"    {name}: {BRANCHES[name]}\n" for name in names)
    file = folder / "mine.yaml"
    file.write_text(
        f"dataset: {{type: manifest, path: {table}}}\n"
        f"features: {{{features}}}\n"
        "perception:\n"
        f"  store: {folder / 'store'}\n"
        "  detector: {type: square}\n"
        "  pose_estimator: {type: centre}\n"
        "  frame_encoders: {colour: {type: colour}}\n"
        f"weak_labels: {{store: {folder / 'labels.sqlite'}}}\n"
        f"model:\n  branches:\n{branches}"
        "train: {epochs: 2, batch_size: 4, lr: 0.01, val_fraction: 0.5}\n"
    )
    return api.load(file, [more] if more else [])


@pytest.mark.parametrize("names", MIXES, ids="+".join)
def test_a_video_is_judged_by_what_the_run_reads(
    names: list[str], table: Path, make_video: Callable[..., Path]
) -> None:
    experiment = config(table, names)
    api.extract(experiment, how=How(workers=0))
    if "text" in names:
        assert label(experiment).statuses == {"ok": 10}
    run = api.train(experiment, table.parent / "run")
    assert api.evaluate(run, "test", "every mix can be judged").count == 2
    other = make_video("other.mp4", frames=45)
    if names == ["text"]:  # which nobody has written about this one
        with pytest.raises(DataError, match=r"other.mp4: .* has no rationale of it: it was"):
            api.predict(other, run)
        other = table.parent / "9.mp4"
    found = api.predict(other, run, texts={"transcript": "we won"} if "transcript" in names else {})
    assert sum(row["probability"] for row in found["classes"]) == pytest.approx(1)
    assert [row["class"] for row in found["classes"]] == ["lose", "win"]
    assert found["frames"] == (29 if names == ["text"] else 45)
    assert [row["part"] for row in found["parts"]] == ["body", "face", "hands"]
    if names == ["text"]:
        read = found["texts"]["text"]
        assert re.match(r"written by the labeler rules@\w+ on \d{4}-\d\d-\d\d", read["source"])
        assert "label store" in read["source"]
        assert "tell moments apart" in found["relevance"]["said"][0]
    else:
        assert found["notes"][0].startswith("There is no 'text' (other.mp4: ")
        assert found["texts"]["transcript"] == {"text": "we won", "source": "handed over"}


def test_a_run_of_frames_alone_shows_the_person_by_the_box(
    table: Path, make_video: Callable[..., Path]
) -> None:
    experiment = config(table, ["frames"], "perception.pose_estimator=null")
    api.extract(experiment, how=How(workers=0))
    run = api.train(experiment, table.parent / "run")
    found = api.predict(make_video("other.mp4", frames=45), run, out=table.parent / "page")
    assert found["parts"] == []
    assert len(found["relevance"]["windows"]) == 11  # of 23 tokens
    for one in found["moments"]:
        assert one["start_s"] <= one["time_s"] <= one["end_s"]
        assert (table.parent / "page" / one["picture"]).is_file()


def test_a_video_whose_features_failed_goes_without_them(
    table: Path, make_video: Callable[..., Path]
) -> None:
    names = ["frames", "transcript"]
    for n in range(6):  # a vector spans 31 frames: the others are too short for one
        make_video(f"{n}.mp4", frames=31 + n)
    experiment = config(
        table, names, "perception.frame_encoders.colour={type: colour, every: 10, span: 4}"
    )
    api.extract(experiment, how=How(workers=0))
    data = prepare(experiment)
    shown = {ref.id: clips.fetch(ref) for clips in (data.train, data.val) for ref in clips.refs}
    assert set(shown["6.mp4"]) == {"transcript"}
    assert set(shown["5.mp4"]) == {"frames", "transcript"}
    run = api.train(experiment, table.parent / "run")
    found = api.predict(table.parent / "6.mp4", run, texts={"transcript": "we won"})
    assert len(found["classes"]) == 2
    with pytest.raises(DataError, match=r"none of the inputs frames, transcript: .*the frame enc"):
        api.predict(table.parent / "6.mp4", run)


def test_what_was_said_may_stand_in_a_file_and_is_part_of_the_data(table: Path) -> None:
    experiment = config(table, ["transcript"])
    data = prepare(experiment)
    texts = {r.id: c.fetch(r)["transcript"] for c in (data.train, data.val) for r in c.refs}
    assert texts["3.mp4"] == "we won by far"
    assert texts["4.mp4"] == "we lost"
    (table.parent / "said.txt").write_text("we won, barely")
    assert prepare(experiment).hash != data.hash
    (table.parent / "said.txt").unlink()
    with pytest.raises(DataError, match=r"the transcript 'said.txt' of 3.mp4 cannot be read"):
        {r.id: c.fetch(r) for c in (data.train, data.val) for r in c.refs}
