"""What baselines promise: the items and cuts of the runs, and the nuisance that was planted."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emoframe.core import config
from emoframe.core.config import Config
from emoframe.core.errors import DataError
from emoframe.core.plugins import loaded
from emoframe.evidence.beside.baselines import baselines, majority
from emoframe.evidence.beside.bench import Bench, Cut
from emoframe.evidence.beside.nuisance import (
    masks_only,
    masks_table,
    nuisance,
    nuisance_table,
    shuffled,
)
from emoframe.evidence.beside.table import beside_config
from emoframe.evidence.stats import Interval, accuracy_interval
from emoframe.evidence.tables.judged import Judged
from emoframe.learning.data import prepare
from emoframe.learning.experiment import Experiment
from emoframe.weak_labels.settings import WeakLabels

Row = dict[str, Any]
MakeVideo = Callable[..., Path]
PEOPLE, EACH = 40, 4


@pytest.fixture(scope="module", autouse=True)
def parts() -> Iterator[None]:
    before = dict(loaded().offers)
    plugin = loaded().load_file(Path(__file__).with_name("bench_parts.py"))
    yield
    loaded().plugins.remove(plugin)
    loaded().manager.unregister(name=plugin.name)
    for key in [key for key in loaded().offers if key not in before]:
        del loaded().offers[key]


def made(folder: Path, change: Callable[[Row, int], Row], seed: int = 0) -> Experiment:
    """Make clips of 40 people, four each, whose labels are drawn; `change` plants something."""
    generator, rows = np.random.default_rng(seed), []
    for n in range(PEOPLE * EACH + 8):
        split = "train" if n < PEOPLE * EACH else "test"
        label = int(generator.random() < 0.5)
        frames = int(generator.integers(20, 40))
        row = {"id": f"clip-{n:03d}", "label": label, "subject": f"{split}-{n // EACH}"}
        rows.append(change({**row, "split": split, "frames": frames}, label))
    (folder / "clips.json").write_text(json.dumps(rows))
    node = {"dataset": {"type": "made_clips", "file": str(folder / "clips.json")}, "folds": 5}
    return config.check(Experiment, Config(node))


def nothing(row: Row, label: int) -> Row:
    return row


def longer(row: Row, label: int) -> Row:
    return {**row, "frames": row["frames"] + 25 * label}


def hidden(row: Row, label: int) -> Row:
    return {**row, "seen": 0.5 + 0.3 * label}


def accuracy(judged: Judged) -> Interval:
    return accuracy_interval(np.nanmean(judged.right, 0), judged.subjects)


def test_a_class_whose_clips_are_longer_is_found_by_its_nuisance(tmp_path: Path) -> None:
    bench = Bench(made(tmp_path, longer))
    assert accuracy(nuisance(bench)).low > 0.85
    assert accuracy(shuffled(bench)).value < 0.75
    assert accuracy(masks_only(bench)).low < 0.6  # shares of a clip know nothing of its length


def test_a_class_that_is_measured_worse_is_found_by_masks_alone(tmp_path: Path) -> None:
    bench = Bench(made(tmp_path, hidden))
    assert accuracy(masks_only(bench)).low > 0.85
    assert accuracy(nuisance(bench)).low > 0.85  # the valid share of the upper part


def test_where_nothing_was_planted_no_baseline_beats_chance(tmp_path: Path) -> None:
    values = []
    for seed in range(6):
        bench = Bench(made(tmp_path, nothing, seed))
        values.append([accuracy(judge(bench)).value for judge in (nuisance, masks_only, shuffled)])
    assert np.all(np.mean(values, 0) < 0.55)


def test_planted_videos_have_no_nuisance() -> None:
    node = ["dataset.train=120", "dataset.frames=64", "dataset.confound=0", "folds=5"]
    bench = Bench(config.check(Experiment, config.load("planted", node)), (0, 1))
    chance = accuracy(majority(bench)).value
    assert accuracy(nuisance(bench)).low < chance
    assert accuracy(masks_only(bench)).low < chance


def test_the_majority_is_that_of_what_is_learned_from(tmp_path: Path) -> None:
    bench = Bench(made(tmp_path, nothing), seeds=(3,))
    said = {one.id: one.predicted for one in majority(bench).predictions[0]}
    for cut in bench.cuts[0]:
        most = np.bincount(cut.labels).argmax()
        assert {said[ref.id] for ref in cut.judge} == {most}


def test_every_item_is_judged_once_by_who_never_saw_its_subject(tmp_path: Path) -> None:
    bench = Bench(made(tmp_path, nothing), seeds=(0, 1))
    for seed in majority(bench).predictions:
        assert sorted(one.id for one in seed) == sorted(ref.id for ref in bench.refs)
    for cut in (cut for seed in bench.cuts for cut in seed):
        assert not {ref.subject for ref in cut.learn} & {ref.subject for ref in cut.judge}
        assert {ref.label for ref in cut.judge} == {None}


def test_the_items_are_those_that_a_run_of_the_same_seed_and_fold_is_judged_on(
    tmp_path: Path,
) -> None:
    experiment = replace(made(tmp_path, nothing), seed=7, fold=2)
    held = {ref.id for ref in prepare(experiment).held.refs}
    assert held == {ref.id for ref in Bench(experiment).cuts[0][2].judge}
    alone = replace(experiment, folds=0, fold=0)
    val = {ref.id for ref in prepare(alone).val.refs}
    assert val == {ref.id for ref in Bench(alone).cuts[0][0].judge}


def test_test_items_are_judged_by_labels_that_were_opened_and_by_no_others(
    tmp_path: Path,
) -> None:
    experiment = made(tmp_path, longer)
    rows = json.loads((tmp_path / "clips.json").read_text())
    opened = {row["id"]: row["label"] for row in rows if row["split"] == "test"}
    judged = nuisance(Bench(experiment, opened=opened))
    assert {one.id for one in judged.items} == set(opened)
    assert accuracy(judged).value == 1
    with pytest.raises(DataError, match="not one of the labels"):
        majority(Bench(experiment, opened={"nobody": 0}))


def test_shuffled_labels_are_dealt_among_what_is_learned_from(tmp_path: Path) -> None:
    bench = Bench(made(tmp_path, longer))
    first, again = shuffled(bench), shuffled(bench)
    assert np.array_equal(first.right, again.right)
    assert [one.label for one in first.items] == [one.label for one in majority(bench).items]


def test_what_is_not_known_is_no_number_and_is_imputed_in_the_fold(
    tmp_path: Path, make_video: MakeVideo
) -> None:
    dark, bright = make_video("dark.mp4", frames=8), make_video("bright.mp4", frames=60)

    def some(row: Row, label: int) -> Row:
        number = int(row["id"][-3:])
        videos = {0: dark, 1: bright, 2: tmp_path / "gone.mp4"}
        return {**row, "video": str(videos[number])} if number in videos else row

    experiment = made(tmp_path, some)
    found = nuisance_table(experiment)
    assert found.loc["clip-000", "video.seconds"] == pytest.approx(8 / 25)
    assert found.loc["clip-001", "video.seconds"] == pytest.approx(60 / 25)
    assert 0 < found.loc["clip-000", "video.brightness"] < found.loc["clip-001", "video.brightness"]
    assert found.loc["clip-002":, [c for c in found if c.startswith("video")]].isna().all(axis=None)
    assert found["keypoints.cuts"].isna().all()  # nobody looked for cuts
    assert found["keypoints.present"].eq(1).all()
    assert np.isfinite([one.probability for one in nuisance(Bench(experiment)).items]).all()


def test_masks_are_counted_by_tenth_and_joint_and_short_clips_have_gaps(tmp_path: Path) -> None:
    found = masks_table(made(tmp_path, lambda row, label: {**row, "frames": 7, "seen": 0.0}))
    tenths = found[[f"keypoints.{tenth}.0" for tenth in range(10)]]
    assert tenths.iloc[0].isna().sum() == 3
    assert tenths.iloc[0].dropna().eq(0).all()
    assert found["keypoints.9.3"].eq(1).all()


def test_the_table_holds_each_baseline_against_the_majority_with_its_interval(
    tmp_path: Path,
) -> None:
    told = beside_config(made(tmp_path, longer), 2).table
    rows = told.set_index("row")
    assert list(rows.index) == ["majority", "nuisance, labels shuffled", "nuisance", "masks only"]
    assert rows.loc["nuisance", "difference"].low > 0.2
    assert rows.loc["nuisance", "AUC"].low > 0.85
    assert "40 subjects" in rows.loc["nuisance", "accuracy"].method
    assert told.attrs["bold"] == ["nuisance"]
    for text in (f"{PEOPLE * EACH} items", "SYNTHETIC", "not shown to see any emotion"):
        assert text in told.attrs["caption"]


def test_a_baseline_that_cannot_be_had_says_why_and_stops_no_other(tmp_path: Path) -> None:
    experiment = made(tmp_path, nothing)
    store = tmp_path / "absent.sqlite"
    found = baselines(replace(experiment, weak_labels=WeakLabels(store=store)))
    assert {name for name, row in found.items() if isinstance(row, str)} == {
        "teacher", "teacher, prior by EM", "teacher, prior by BBSE",
    }  # fmt: skip
    assert "no label store" in str(found["teacher"])


def test_a_fit_sees_no_label_of_what_it_judges(tmp_path: Path) -> None:
    bench, seen = Bench(made(tmp_path, nothing)), []

    def fit(cut: Cut) -> Any:
        seen.extend(ref.label for ref in cut.judge)
        return np.full((len(cut.judge), 2), 0.5)

    bench.judged("blind", fit)
    assert set(seen) == {None}


@pytest.mark.parametrize("folds", [1, -1])
def test_folds_that_leave_nothing_to_learn_from_are_refused(tmp_path: Path, folds: int) -> None:
    with pytest.raises(DataError, match="take 0 or at least 2"):
        Bench(made(tmp_path, nothing), folds=folds)
