"""A branch is made for what its input is; any mix of branches trains, resumes and judges."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from emoframe import api
from emoframe.core.errors import ConfigError, DataError
from emoframe.core.plugins import loaded
from emoframe.evidence.evaluate import saved_predictions
from emoframe.learning.branches import Wiring
from emoframe.learning.checkpoint import epochs
from emoframe.learning.clips import collate
from emoframe.learning.data import Data, check_clips, prepare, rehearse
from emoframe.learning.experiment import Branch, Experiment, Model
from emoframe.learning.model import Recognizer
from emoframe.records import View

BROUGHT = Path(__file__).with_name("brought.py")
SMALL: dict[str, dict[str, Any]] = {
    "keypoints": {
        "keypoint_backbone": {"type": "mlp", "hidden": 8},
        "temporal_encoder": {"type": "transformer", "dim": 8, "layers": 1, "heads": 2},
        "out_dim": 8,
    },
    "frames": {
        "keypoint_backbone": None,
        "temporal_encoder": {"type": "transformer", "dim": 8, "layers": 1, "heads": 2},
        "out_dim": 8,
    },
    "text": {"text_encoder": {"type": "tfidf", "max_features": 64}, "out_dim": 8},
}
MIXES = [["text"], ["frames"], ["frames", "text"], ["keypoints", "frames", "text"]]


@pytest.fixture(scope="module", autouse=True)
def plugin() -> Iterator[None]:
    """Load the data set of this file, and take it away again."""
    added = loaded().load_file(BROUGHT)
    yield
    loaded().plugins.remove(added)
    loaded().manager.unregister(name=added.name)
    loaded().offers.pop(("dataset", "brought"))


def config(tmp_path: Path, names: list[str], *overrides: str, gaps: bool | None = None) -> Any:
    """Return an experiment over some inputs; items lack some where another is left."""
    whole = {
        "dataset": {"type": "brought", "gaps": len(names) > 1 if gaps is None else gaps},
        "features": dict.fromkeys(names, "dataset"),
        "view": {"frames": {"frames": 20}, "keypoints": {"frames": 20}},
        "model": {"branches": {name: SMALL[name] for name in names}},
        "train": {"epochs": 3, "batch_size": 4, "lr": 0.02, "val_fraction": 0.25, "workers": 0},
    }
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump(whole))
    return api.load(file, overrides)


def built(experiment: Experiment) -> tuple[Recognizer, Data]:
    data = prepare(experiment)
    torch.manual_seed(0)
    model = Recognizer(experiment.model, data.wiring).eval()
    model.fit_texts(data.texts)
    return model, data


@pytest.mark.parametrize("names", MIXES, ids="+".join)
def test_any_mix_trains_and_is_judged(names: list[str], tmp_path: Path) -> None:
    run = api.train(config(tmp_path, names, "train.epochs=8"), tmp_path / "run")
    scores = api.evaluate(run, "test", "all three inputs tell the class")
    assert scores.count == 4
    assert scores.accuracy.value == 1.0
    assert len(saved_predictions(run, "test")) == 4


@pytest.mark.parametrize("workers", [0, 2])
def test_a_resumed_training_equals_an_uninterrupted_one(workers: int, tmp_path: Path) -> None:
    experiment = config(tmp_path, MIXES[-1], f"train.workers={workers}")
    api.train(experiment, tmp_path / "whole")

    def stop(row: Any) -> None:
        if row["epoch"] == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        api.train(experiment, tmp_path / "cut", on_epoch=stop)
    api.train(experiment, tmp_path / "cut")
    for name in ("best.pth", epochs(tmp_path / "whole" / "checkpoints")[-1].name):
        one, other = (
            torch.load(tmp_path / run / "checkpoints" / name, weights_only=True)["state_dict"]
            for run in ("whole", "cut")
        )
        assert one.keys() == other.keys()
        assert all(torch.equal(one[key], other[key]) for key in one)
        assert len(one["branches.text.encoder.terms"]) > 0


def test_a_missing_input_changes_nothing_whatever_stands_in_its_place(tmp_path: Path) -> None:
    model, data = built(config(tmp_path, MIXES[-1]))
    whole = [data.train.sample(ref, View())[0] for ref in data.train.refs]
    samples = [one for one in whole if not all(one.present.values())][:2] + whole[-2:]
    batch = collate(samples)
    before = model(**batch).logits_NK
    for n, sample in enumerate(samples):
        if not sample.present["text"]:
            assert batch["inputs"]["text"][n] == ""
            batch["inputs"]["text"][n] = "restless and quick"
        if not sample.present["frames"]:
            assert not batch["masks"]["frames"][n].any()
            batch["inputs"]["frames"][n] = 100.0
    torch.testing.assert_close(model(**batch).logits_NK, before)
    alone = torch.cat([model(**collate([one])).logits_NK for one in samples])
    torch.testing.assert_close(alone, before, atol=1e-5, rtol=1e-5)
    assert torch.isfinite(model.train()(**collate(samples[:1]), mode="loss")["loss"])


def test_frames_that_nobody_encoded_are_masked_and_times_are_true(tmp_path: Path) -> None:
    _, data = built(config(tmp_path, ["frames"], "dataset.gaps=false"))
    sample, same = data.val.sample(data.val.refs[0], View())
    assert sample.inputs["frames"].shape == (20, 5)
    assert not sample.inputs["frames"][~sample.masks["frames"]].any()
    assert 0 < sample.masks["frames"].sum() < 20
    assert set(np.round(sample.times["frames"] * 25, 6)) <= set(range(30))
    assert same


def test_an_item_without_any_input_is_an_error_that_says_what_it_lacks(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"i\d: the data set brings no input 'frames' along"):
        check_clips(prepare(config(tmp_path, ["frames"], gaps=True)))
    both = prepare(config(tmp_path, ["frames", "text"]))
    both.train.loaders["text"] = lambda ref: "  \n"
    with pytest.raises(DataError, match=r"none of the inputs frames, text: .*text 'text' is blank"):
        check_clips(both)


def test_how_many_items_lack_an_input_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        check_clips(prepare(config(tmp_path, ["frames", "text"])))
    assert "2 of 20 items have no input 'text'" in caplog.text


def test_the_first_batch_shows_every_input(tmp_path: Path) -> None:
    experiment = config(tmp_path, ["frames", "text"])
    data = prepare(experiment)
    data.train.refs.sort(key=lambda ref: ref.id not in ("i0", "i1"))  # both without frames

    class Looks(torch.nn.Module):
        def forward(self, inputs: Any, **batch: Any) -> None:
            assert set(inputs) == {"frames", "text"}

    rehearse(Looks(), data)


def test_text_encoders_learn_from_training_texts_alone(tmp_path: Path) -> None:
    experiment = config(tmp_path, ["text"])
    data = prepare(experiment)
    held_out = [ref.id for clips in (data.val, data.test) for ref in clips.refs]
    seen: list[str] = []

    def planted(ref: Any) -> str:
        seen.append(ref.id)
        return "sealed secret" if ref.id in held_out else "open book"

    for clips in (data.train, data.val, data.test):
        clips.loaders["text"] = planted
    model = Recognizer(experiment.model, data.wiring)
    rehearse(model, data)
    terms = bytes(model.branches["text"].encoder.terms.tolist()).decode()  # type: ignore[union-attr]
    assert terms.split("\n") == ["book", "open", "open book"]
    assert not set(seen) & set(held_out)


def test_a_training_whose_validation_says_other_words_knows_none_of_them(tmp_path: Path) -> None:
    experiment = config(tmp_path, ["text"], gaps=False)
    run = api.train(experiment, tmp_path / "run")
    state = torch.load(tmp_path / "run/checkpoints/best.pth", weights_only=True)["state_dict"]
    terms = bytes(state["branches.text.encoder.terms"].tolist()).decode().split("\n")
    data = prepare(run.experiment)
    assert all(ref.id in terms for ref in data.train.refs)
    assert not [ref.id for clips in (data.val, data.test) for ref in clips.refs if ref.id in terms]


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (["dataset.joints=true"], "vector for each of 2 joints"),
        (["features={frames: null, text: dataset}"], "model.branches.frames: has no partner"),
    ],
)
def test_what_no_branch_can_read_is_refused(
    overrides: list[str], says: str, tmp_path: Path
) -> None:
    with pytest.raises((DataError, ConfigError), match=says):
        prepare(config(tmp_path, ["frames"], *overrides, gaps=False))


@pytest.mark.parametrize(
    ("name", "parts", "says"),
    [
        ("text", {"text_encoder": None}, "is text, and model.branches.text takes keypoints; give"),
        ("frames", {"keypoint_backbone": {"type": "mlp"}}, "is frame features, .*null"),
        ("keypoints", {"keypoint_backbone": None}, "is keypoints, .*takes frame features; give"),
    ],
)
def test_an_input_that_turns_out_to_be_of_another_sort_is_a_sentence(
    name: str, parts: Any, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(SMALL, name, SMALL[name] | parts)
    with pytest.raises(DataError, match=says):
        prepare(config(tmp_path, [name], gaps=False))


def test_items_whose_frame_features_differ_in_width_are_refused(tmp_path: Path) -> None:
    data = prepare(config(tmp_path, ["frames"], gaps=False))
    wider = prepare(config(tmp_path, ["frames"], "dataset.dim=7", gaps=False))
    data.val.loaders = wider.val.loaders
    with pytest.raises(DataError, match="have 7 numbers, and those of the first training item 5"):
        check_clips(data)


@pytest.mark.parametrize(
    ("override", "path", "says"),
    [
        ("features.frames=colour", "model.branches.frames", "'colour' is frame features; set its"),
        ("features.frames=pose_estimator", None, ""),
        ("features.frames=rationale", "features.frames", "add a `weak_labels` section"),
        ("features.frames=rationale", "model.branches.frames", "is text; give .* `text_encoder`"),
        ("model.branches.frames.groups=[a]", None, ""),
        ("model.branches.frames={keypoint_backbone: null, groups: [a]}",
         "model.branches.frames.groups", "no place in a branch of frame features"),
        ("model.branches.frames={text_encoder: {type: tfidf}, pooling: {type: mean}}",
         "model.branches.frames.pooling", "no place in a branch of text"),
        ("model.branches.frames={pooling: null}", "model.branches.frames.pooling", "is null"),
        ("model.branches.frames={text_encoder: {type: tfidf}}", None, ""),
    ],
)  # fmt: skip
def test_a_branch_that_cannot_fit_its_input_is_found_before_anything_is_built(
    override: str, path: str | None, says: str, tmp_path: Path
) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(
        "dataset: {type: brought}\nfeatures: {frames: dataset}\nmodel: {branches: {frames: {}}}\n"
        "perception: {frame_encoders: {colour: {type: hog}}}\n"
    )
    if path is None:
        api.load(file, [override])
        return
    with pytest.raises(ConfigError) as refused:
        api.load(file, [override])
    found = [problem.text for problem in refused.value.problems if problem.path == path]
    assert found, refused.value
    assert [text for text in found if re.search(says, text)]


def test_what_a_run_is_written_with_can_be_read_again(tmp_path: Path) -> None:
    experiment = config(tmp_path, MIXES[-1])
    assert api.load(experiment) == experiment
    text = experiment.model.branches["text"]
    assert (text.keypoint_backbone, text.temporal_encoder, text.pooling) == (None, None, None)
    assert [experiment.model.branches[name].sort for name in MIXES[-1]] == MIXES[-1]


def test_frame_features_of_any_scale_are_seen(tmp_path: Path) -> None:
    experiment = config(tmp_path, ["frames"], gaps=False)
    model, data = built(experiment)
    branch: Any = model.branches["frames"].train()
    batch = collate([data.train[n] for n in range(8)])
    x, mask = batch["inputs"]["frames"], batch["masks"]["frames"]
    for _ in range(3):
        branch.norm(1000 * x[:, :, None], mask[:, :, None])
    seen = branch.norm.eval()(1000 * x[:, :, None], mask[:, :, None])[:, :, 0][mask]
    assert 0.5 < float(seen.std()) < 2


def test_a_branch_of_frames_has_no_layout_to_look_up() -> None:
    frames = Branch(keypoint_backbone=None)
    assert frames.sort == "frames"
    wiring = Wiring(None, 0, 3, (1, 1), {"frames": 4})
    model = Recognizer(Model(branches={"frames": frames}), wiring)
    assert model.branches["frames"].norm.dims == 4  # type: ignore[union-attr]
