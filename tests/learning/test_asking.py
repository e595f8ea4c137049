"""Asking about clips: who learns the truth, what is known before the first question, and videos."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from emoframe import api
from emoframe.core.errors import DataError
from emoframe.core.registry import create
from emoframe.label import Which, label, plan
from emoframe.learning.datasets.planted import Planted
from emoframe.learning.experiment import Experiment
from emoframe.perception.pipeline import How
from emoframe.weak_labels import ledger
from emoframe.weak_labels.asking.processes import Process
from emoframe.weak_labels.read import weak_labels
from emoframe.weak_labels.store import LabelStore, QuestionKey

pytestmark = pytest.mark.usefixtures("parts_plugin")
MakeVideo = Callable[..., Path]
PLANTED = ["dataset.train=6", "dataset.unlabelled=8", "dataset.test=4", "dataset.frames=16"]


def simulated(folder: Path, *more: str) -> list[str]:
    """Overrides for a teacher that is always right."""
    teacher = "weak_labels.vlm_labeler={type: simulated, accuracy: 1.0}"
    return [*PLANTED, teacher, f"weak_labels.store={folder / 'labels.sqlite'}", *more]


def test_a_simulated_teacher_knows_the_unlabelled_training_items_of_generated_data(
    tmp_path: Path,
) -> None:
    """No video is there: keypoints alone are labelled, and found again by item."""
    overrides = simulated(tmp_path)
    done = label("quickstart", overrides)
    assert done.statuses == {"ok": 14, "refused": 4}
    dataset = create("dataset", api.load("quickstart", overrides).dataset)
    train, hidden = dataset.samples("train"), dataset.hidden_labels()
    unlabelled = [ref.id for ref in train if ref.label is None]
    with LabelStore(tmp_path / "labels.sqlite", write=False) as store:
        keys = store.prompts()[0].hash, store.labelers()[0].key
        told = weak_labels(store, "planted", *keys, unlabelled)
        assert {item: labels[0].label for item, labels in told.items()} == hidden
        assert all(one.simulated for labels in told.values() for one in labels)
        items = store.items("planted")
        for ref in dataset.samples("test"):
            assert store.answers(clips=[items["planted", ref.id]])[0].status == "refused"


@pytest.mark.parametrize(("synthetic", "ok"), [(True, 14), (False, 6)])
def test_neither_test_labels_nor_hidden_ones_of_real_data_reach_a_teacher(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, synthetic: bool, ok: int
) -> None:
    """A data set that tells more than it may is not heard."""
    hidden = Planted.hidden_labels
    leaky = lambda self: {**hidden(self), **self.test_labels()}  # noqa: E731
    monkeypatch.setattr(Planted, "hidden_labels", leaky)
    monkeypatch.setattr(Planted, "synthetic", synthetic)
    done = label("quickstart", simulated(tmp_path))
    assert done.statuses == {"ok": ok, "refused": 18 - ok}


@pytest.fixture
def experiment(make_video: MakeVideo, tmp_path: Path) -> Experiment:
    """Ten videos whose rules' text a run learns from."""
    lines = ["video,label,split,subject"]
    for n in range(10):
        video = make_video(f"{n}.mp4", frames=20 + n)
        lines.append(f"{video.name},{('lose', 'win')[n % 2]},{('train', 'test')[n > 7]},s{n}")
    (tmp_path / "videos.csv").write_text("\n".join(lines))
    (tmp_path / "mine.yaml").write_text(
        f"dataset: {{type: manifest, path: {tmp_path / 'videos.csv'}}}\n"
        "features: {text: rationale}\n"
        f"perception: {{store: {tmp_path / 'store'}, detector: {{type: square}},\n"
        "  pose_estimator: {type: centre}}\n"
        f"weak_labels: {{store: {tmp_path / 'labels.sqlite'}}}\n"
        "model:\n  branches:\n"
        "    text: {text_encoder: {type: tfidf, max_features: 32}, out_dim: 8}\n"
        "train: {epochs: 2, batch_size: 4, lr: 0.01, val_fraction: 0.5}\n"
    )
    return api.load(tmp_path / "mine.yaml")


def test_a_video_that_is_in_no_data_set_is_labelled_and_then_judged(
    experiment: Experiment, make_video: MakeVideo, tmp_path: Path
) -> None:
    api.extract(experiment, how=How(workers=0))
    label(experiment)
    run = api.train(experiment, tmp_path / "run")
    mine = make_video("of-smith.mp4", frames=45)
    with pytest.raises(DataError, match=r"of-smith.mp4: .* has no rationale of it"):
        api.predict(mine, run)
    only = Which(videos=(mine,))
    assert plan(experiment, which=only).questions == 1
    assert label(experiment, which=only).statuses == {"ok": 1}
    assert label(experiment, which=only).summary.calls == 0
    found = api.predict(mine, run)
    assert sum(row["probability"] for row in found["classes"]) == pytest.approx(1)
    with LabelStore(tmp_path / "labels.sqlite", write=False) as store:
        assert [item for name, item in store.items() if name == "video"] == [str(mine)]
        assert len(store.items("manifest:videos")) == 10


def test_before_extraction_there_is_one_sentence_and_no_question(
    experiment: Experiment, make_video: MakeVideo, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=r"of none of 10 clips are there; .*run emoframe extract"):
        label(experiment)
    assert not (tmp_path / "labels.sqlite").exists()
    api.extract(experiment, [tmp_path / "3.mp4"], How(workers=0))
    done = label(experiment)
    assert done.statuses == {"ok": 1, "error": 9}
    with pytest.raises(DataError, match="of none of 9 clips are there"):
        label(experiment)


def test_a_killed_labeler_that_costs_nothing_leaves_no_calls_that_may_have_been_paid(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Money is lost where there is a price, or where a server of one's own says so."""
    overrides = simulated(tmp_path)
    label("quickstart", overrides, Which("test"))
    with LabelStore(tmp_path / "labels.sqlite") as store, monkeypatch.context() as dead:
        key = QuestionKey("ab" * 32, store.prompts()[0].hash, store.labelers()[0].key, 0)
        dead.setattr(ledger, "here", lambda: Process(socket.gethostname(), 1, "boot:1"))
        store.reserve(key, 0.0)
        store.fail(store.reserve(key, 0.0), "the server did not answer in time", paid=True)
    (told,) = label("quickstart", overrides, Which("test")).unknown
    assert told.reason == "the server did not answer in time"
    assert plan("quickstart", overrides).unknown == 1
    with LabelStore(tmp_path / "labels.sqlite") as store:
        assert len(store.calls("unknown")) == 2
