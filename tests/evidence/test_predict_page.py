"""A real video goes through the whole chain; the page says all that is needed to read it."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from typer.testing import CliRunner

from emoframe import api
from emoframe.cli.app import build_app
from emoframe.core.errors import DataError
from emoframe.core.plugins import loaded
from emoframe.evidence.prediction.standing import FEWEST, calibration, standing, votes
from emoframe.learning.data import prepare
from emoframe.learning.run import Run
from emoframe.learning.scope import scope_of
from emoframe.perception.mp4 import encode
from emoframe.perception.pipeline import How
from emoframe.records import Prediction

PARTS = Path(__file__).parents[1] / "perception" / "parts.py"
CONFIG = """
dataset: {{type: manifest, path: {0}/videos.csv}}
features: {{keypoints: pose_estimator, transcript: dataset}}
perception: {{store: {0}/store, pose_estimator: {{type: centre}}}}
view: {{keypoints: {{frames: 20}}, votes: 3}}
model:
  branches:
    keypoints:
      keypoint_backbone: {{type: mlp, hidden: 8}}
      temporal_encoder: {{type: transformer, dim: 8, layers: 1, heads: 2}}
      pooling: {{type: attention, hidden: 4}}
      groups: [body]
      out_dim: 8
    transcript: {{text_encoder: {{type: tfidf, max_features: 8}}, out_dim: 8}}
train: {{epochs: 2, batch_size: 4, lr: 0.01, val_fraction: 0.5}}
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """A run that has learned from eight small films at 25 frames a second."""
    before = dict(loaded().offers)
    plugin = loaded().load_file(PARTS)
    root = tmp_path_factory.mktemp("films")
    lines, generator = ["video,label,split,subject,transcript"], np.random.default_rng(0)
    for n in range(10):
        rgb = generator.integers(0, 255, (24, 48, 64, 3), dtype=np.uint8)
        encode(zip(rgb, (np.arange(24) / 25).tolist(), strict=True), root / f"{n}.mp4")
        label, split = ("lose", "win")[n % 2], "test" if n > 7 else "train"
        lines.append(f"{n}.mp4,{label},{split},s{n},{'we' if n else 'they'} {label}")
    (root / "videos.csv").write_text("\n".join(lines))
    (root / "mine.yaml").write_text(CONFIG.format(root))
    experiment = api.load(root / "mine.yaml")
    api.extract(experiment, how=How(workers=0))
    made = api.train(experiment, root / "run")
    api.evaluate(made, "val")
    card = made.card | {"scope": scope_of(prepare(experiment))}
    (made.folder / "run.json").write_text(json.dumps(card))
    yield api.load_run(made.folder)
    loaded().plugins.remove(plugin)
    loaded().manager.unregister(name=plugin.name)
    loaded().offers.clear()
    loaded().offers.update(before)


@pytest.fixture(scope="module")
def gif(shared: Path) -> Path:
    return shared / "media" / "imigue_folding-arms.gif"


def test_a_page_says_all_that_must_be_known(run: Run, gif: Path, tmp_path: Path) -> None:
    told = api.predict(gif, run, texts={"transcript": "we win"}, out=tmp_path)
    page = (tmp_path / "prediction.html").read_text()
    assert json.loads((tmp_path / "prediction.json").read_text()) == told
    scores = standing(run)[0]
    for said in (
        "protocol manifest:videos",
        "are labels of the data set",
        "4 validation items are too few",
        f"accuracy {scores['accuracy']}, majority 0.500",
        "10 per second, where the 4 training clips have 25",
        "4.2 s are longer than 99 % of the 4 training clips (at most 0.9 s)",
        "views, sampled apart, name",
        "no measurement of what anybody feels",
        "handed over",
        "we win",
        f"P({told['relevance']['class']}) falls by" if told["moments"] else "No window speaks",
    ):
        assert said in page
    assert sum(row["probability"] for row in told["classes"]) == pytest.approx(1)
    assert len(told["relevance"]["windows"]) == 10  # a view shows 20 frames
    assert told["votes"]["views"] == 3
    assert told["relevance"]["pooling"].keys() == {"keypoints.body"}
    assert Image.open(tmp_path / "relevance.png").size[0] > 1000
    assert page.count("data:image/png") == 1 + len(told["moments"])


def test_faces_are_hidden_unless_asked_for(run: Run, gif: Path, tmp_path: Path) -> None:
    told = {
        faces: api.predict(gif, run, texts={"transcript": "we"}, out=tmp_path / faces, faces=faces)
        for faces in ("blur", "show", "skeleton")
    }
    if not told["blur"]["moments"]:
        pytest.skip("no window speaks for the class, so that none is shown")
    name = told["blur"]["moments"][0]["picture"]
    blurred, plain, bare = (
        np.asarray(Image.open(tmp_path / faces / name)).astype(int)
        for faces in ("blur", "show", "skeleton")
    )
    height, width = plain.shape[:2]
    nose = (slice(height // 2 - 80, height // 2 + 80), slice(width // 2 - 80, width // 2 + 80))

    def detail(rgb: np.ndarray) -> float:
        return float(np.abs(np.diff(rgb[nose], axis=0)).mean())

    assert detail(blurred) < 0.5 * detail(plain)
    assert np.median(bare) == 32


def test_who_is_not_seen_is_told_to_the_model(run: Run, tmp_path: Path) -> None:
    """A detector of bright squares sees nobody in the dark; what was said is left."""
    text = (run.folder / "resolved.yaml").read_text()
    blind = tmp_path / "run"
    shutil.copytree(run.folder, blind)
    (blind / "resolved.yaml").write_text(text.replace("type: whole_frame", "type: square"))
    dark = np.zeros((20, 48, 64, 3), np.uint8)
    encode(zip(dark, (np.arange(20) / 25).tolist(), strict=True), tmp_path / "dark.mp4")
    found = api.predict(tmp_path / "dark.mp4", blind, texts={"transcript": "we win"})
    assert found["notes"][0].startswith("There is no 'keypoints' (")
    assert (
        "the model was told that it lacks it, which no training clip ever did"
        in (found["notes"][0])
    )
    assert found["relevance"]["windows"] == []
    assert found["moments"] == []
    with pytest.raises(DataError, match="has none of the inputs keypoints, transcript"):
        api.predict(tmp_path / "dark.mp4", blind)


def test_a_text_for_nothing_and_no_view_are_mistakes(run: Run, gif: Path) -> None:
    with pytest.raises(DataError, match=r"reads no text 'speech' \(it reads transcript\)"):
        api.predict(gif, run, texts={"speech": "we win"})
    with pytest.raises(DataError, match="0 views cannot vote"):
        api.predict(gif, run, views=0)


def test_the_command_prints_what_stands_beside_a_probability(
    run: Run, gif: Path, tmp_path: Path
) -> None:
    (tmp_path / "said.txt").write_text("we win")
    given = [str(gif), "--run", str(run.folder), "--text", f"transcript={tmp_path / 'said.txt'}"]
    more = ["--views", "1", "--out", str(tmp_path / "page")]
    done = CliRunner().invoke(build_app(), ["predict", *given, *more])
    assert done.exit_code == 0, done.output
    for said in ("probability", "majority", "One view of the video", "too few", "training clips"):
        assert said in done.output
    wrong = CliRunner().invoke(build_app(), ["predict", *given[:3], "--text", "transcript"])
    assert wrong.exit_code == 2
    assert "is not NAME=FILE" in wrong.output


@pytest.fixture
def scored(run: Run, tmp_path: Path) -> Run:
    """The same run with many validation items, on which it is twice too sure."""
    folder = tmp_path / "run"
    shutil.copytree(run.folder, folder)
    generator = np.random.default_rng(0)
    odds = generator.normal(0, 2, 400)
    truth = generator.random(400) < 1 / (1 + np.exp(-odds))
    share = 1 / (1 + np.exp(-2 * odds))
    rows = pd.DataFrame({
        "id": [f"v{n}" for n in range(400)], "subject": "", "label": np.where(truth, "win", "lose"),
        "predicted": "", "prob_lose": 1 - share, "prob_win": share,
    })  # fmt: skip
    rows.to_csv(folder / "predictions-val.csv", index=False)
    return api.load_run(folder)


def test_a_run_that_is_too_sure_is_calibrated_by_its_validation_items(scored: Run) -> None:
    found = calibration(scored)
    assert found.temperature == pytest.approx(2, rel=0.25)
    assert found.items == 400
    assert "the run's 400 validation items" in found.said
    (mended,) = found.of([Prediction("a", np.array([0.1, 0.9]))])
    assert 0.6 < mended.probability[1] < 0.85


@pytest.mark.parametrize("count", [FEWEST - 1, FEWEST])
def test_few_validation_items_calibrate_nothing(scored: Run, count: int) -> None:
    file = scored.folder / "predictions-val.csv"
    pd.read_csv(file).head(count).to_csv(file, index=False)
    found = calibration(scored)
    assert (found.temperature is None) == (count < FEWEST)
    assert f"{count} validation items" in found.said


def test_who_is_always_right_on_validation_is_not_made_surer(scored: Run) -> None:
    file = scored.folder / "predictions-val.csv"
    rows = pd.read_csv(file)
    rows["label"] = np.where(rows["prob_win"] > 0.5, "win", "lose")
    rows.to_csv(file, index=False)
    found = calibration(scored)
    assert found.temperature is None
    assert "is all right or nearly on its 400 validation items" in found.said


def test_what_is_older_than_the_weights_counts_for_nothing(scored: Run) -> None:
    for name in ("predictions-val.csv", "scores-val.json"):
        os.utime(scored.folder / name, (1, 1))
    assert calibration(scored).temperature is None
    assert "was not scored on validation" in calibration(scored).said
    assert standing(scored) == []


def test_views_that_disagree_are_counted() -> None:
    split = Prediction("a", np.array([0.4, 0.6]), votes=(1, 1, 0, 1, 0))
    told = votes(split, ("lose", "win"), alike=False)
    assert told["disagreement"] == pytest.approx(0.4)
    assert told["said"] == (
        "2 of 5 views, sampled apart, name another class than most do (3 win, 2 lose): "
        "disagreement 0.40."
    )
    same = Prediction("a", np.array([0.4, 0.6]), votes=(1, 1))
    assert votes(same, ("lose", "win"), alike=False)["said"].startswith("All 2 views, sampled")
    assert "means nothing" in votes(same, ("lose", "win"), alike=True)["said"]
