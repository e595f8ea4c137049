"""What the teacher's baselines promise: as good as its labels are, and mended on other subjects."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result
from typer.testing import CliRunner

from emoframe import api
from emoframe.cli.app import build_app
from emoframe.core.errors import DataError
from emoframe.evidence.beside.baselines import baselines, majority
from emoframe.evidence.beside.bench import Bench
from emoframe.evidence.beside.copying import against_teacher
from emoframe.evidence.beside.teacher import teacher, teacher_shifted
from emoframe.evidence.tables.judged import Judged
from emoframe.label import label
from emoframe.learning.experiment import Experiment

COUNT = 120
PLANTED = [
    f"dataset.train={COUNT}", "dataset.test=4", "dataset.frames=12", "dataset.videos_per_subject=4",
    "dataset.shares=[0.3, 0.7]", "dataset.world=cross_part", "folds=4",
]  # fmt: skip
ABSTAINS = 0.2


def overrides(folder: Path) -> list[str]:
    """Overrides for a teacher that names the second class too rarely, and abstains at times."""
    node = "{type: simulated, confusion: [[0.9, 0.1], [0.6, 0.4]], abstain: 0.2}"
    where = f"weak_labels.store={folder / 'labels.sqlite'}"
    return [*PLANTED, f"weak_labels.vlm_labeler={node}", where]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the labels of the teacher lie."""
    found = tmp_path_factory.mktemp("taught")
    label("quickstart", overrides(found))
    return found


@pytest.fixture(scope="module")
def experiment(folder: Path) -> Experiment:
    return api.load("quickstart", overrides(folder))


def accuracy(judged: Judged) -> float:
    return float(np.nanmean(judged.right))


def test_the_teacher_is_as_good_as_its_labels_and_abstentions_go_to_the_majority(
    experiment: Experiment,
) -> None:
    bench = Bench(experiment)
    whole, named = teacher(bench), teacher(bench, named_only=True)
    assert len(whole.items) == COUNT
    assert len(named.items) == pytest.approx(COUNT * (1 - ABSTAINS), abs=15)
    assert accuracy(named) == pytest.approx(0.3 * 0.9 + 0.7 * 0.4, abs=0.1)
    said = {one.id for one in named.items}
    most = {one.id: one.predicted for one in majority(bench).items}
    assert all(one.predicted == most[one.id] for one in whole.items if one.id not in said)
    assert whole.synthetic


@pytest.mark.parametrize("method", ["em", "bbse"])
def test_a_teacher_that_names_a_class_too_rarely_is_mended(
    experiment: Experiment, method: str
) -> None:
    bench = Bench(experiment)
    found = teacher_shifted(bench, method)  # pyright: ignore[reportArgumentType]
    assert accuracy(found) > accuracy(teacher(bench)) + 0.05
    assert [one.id for one in found.items] == [one.id for one in majority(bench).items]


def test_what_a_teacher_is_mended_by_is_not_the_labels_of_whom_it_judges(
    experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = teacher_shifted(Bench(experiment))
    bench = Bench(experiment)
    judged = {ref.id for ref in bench.cuts[0][0].judge}
    flipped = {
        item: 1 - label if item in judged else label for item, label in bench._labels.items()
    }
    monkeypatch.setattr(bench, "_labels", flipped)
    again = teacher_shifted(bench)
    for one, other in zip(first.items, again.items, strict=True):
        assert np.array_equal(one.probability, other.probability)


def test_a_student_is_held_against_the_teacher_of_its_config(experiment: Experiment) -> None:
    bench = Bench(experiment)
    taught = teacher(bench, named_only=True)
    found = against_teacher(replace(teacher(bench), name="net"), taught)
    assert found["n"].iloc[0] == len(taught.items)
    assert "just copies" in found.attrs["caption"]


def test_all_baselines_of_a_config_with_weak_labels_are_there(experiment: Experiment) -> None:
    found = baselines(experiment, (0, 1))
    assert list(found) == [
        "majority", "nuisance, labels shuffled", "nuisance", "masks only", "teacher",
        "teacher, prior by EM", "teacher, prior by BBSE",
    ]  # fmt: skip
    assert {row.seeds for row in found.values() if isinstance(row, Judged)} == {(0, 1)}
    assert "teacher" not in baselines(replace(experiment, weak_labels=None))


def test_a_teacher_that_was_never_asked_is_a_sentence(
    experiment: Experiment, tmp_path: Path
) -> None:
    assert experiment.weak_labels is not None
    asked = replace(experiment.weak_labels, store=tmp_path / "absent.sqlite")
    with pytest.raises(DataError, match="no label store"):
        teacher(Bench(replace(experiment, weak_labels=asked)))
    with pytest.raises(DataError, match="no section `weak_labels`"):
        teacher(Bench(replace(experiment, weak_labels=None)))


def run(*args: object) -> Result:
    return CliRunner().invoke(build_app(), ["baselines", *map(str, args)])


@pytest.fixture(scope="module")
def done(folder: Path, tiny: list[str]) -> api.Run:
    """A run of one fold, not tested."""
    sizes = [one for one in tiny if not one.startswith("dataset")]
    return api.train("quickstart", folder / "run", [*sizes, *overrides(folder), "fold=2"])


def test_the_command_prints_a_table(folder: Path) -> None:
    found = run("quickstart", *overrides(folder))
    assert found.exit_code == 0, found.exception
    for text in ("majority", "masks only", "teacher, prior by BBSE", "balanced accuracy"):
        assert text in found.stdout
    assert "smallest difference that could be detected" in found.stderr


def test_the_command_holds_a_run_against_the_baselines_of_its_own_items(done: api.Run) -> None:
    found = run(done.folder, "--json")
    assert found.exit_code == 0, found.exception
    told = json.loads(found.stdout)
    table, copying = told["baselines"], told["against the teacher"]
    assert [row["row"] for row in table["rows"]][:2] == [str(done.folder), "majority"]
    held = len(Bench(done.experiment).cuts[0][2].judge)
    assert f"{held} items" in table["caption"]
    assert {"value", "low", "high", "method"} <= table["rows"][0]["accuracy"].keys()
    assert all(row["difference"] for row in table["rows"][1:] if not row.get("failed"))
    assert copying["rows"][0]["measure"] == "names its teacher's class"
    assert copying["caption"]


def test_no_baseline_opens_test(done: api.Run) -> None:
    refused = run(done.folder, "--test")
    assert "needs a reason" in str(refused.exception)
    assert not (done.folder / "openings.jsonl").exists()
    api.evaluate(done, "test", "this test")
    told = run(done.folder, "--test", "--markdown")
    assert told.stdout.startswith("| row |"), told.exception
    assert "4 items" in told.stdout
    assert len((done.folder / "openings.jsonl").read_text().splitlines()) == 1


@pytest.mark.parametrize(
    ("args", "says"),
    [(("quickstart", "--test"), "no run folder"), ((".", "--seeds", "2"), "leave the other")],
)
def test_arguments_that_do_not_fit_are_refused(args: tuple[str, ...], says: str) -> None:
    assert says in str(run(*args).exception)
