"""An ablation with folds: paired out of fold, stages shared, resumable, alone or in processes."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from emoframe import api
from emoframe.cli.app import build_app
from emoframe.core.errors import DataError
from emoframe.core.plugins import loaded
from emoframe.evidence.evaluate import saved_predictions
from emoframe.evidence.metrics import score
from emoframe.evidence.report import write_report
from emoframe.evidence.tables.judged import of_runs
from emoframe.evidence.tables.sources import runs_in
from emoframe.evidence.tables.trainings import Executor
from emoframe.learning.data import prepare
from emoframe.learning.run import load_run

FOLDED = """\
base: planted
dataset: {world: "null", train: 60, test: 6, frames: 64, videos_per_subject: 2}
view: {keypoints: {frames: 64}}
model:
  branches: {keypoints: {keypoint_backbone: {hidden: 4}, temporal_encoder: {dim: 8}, out_dim: 8}}
train: {epochs: 2, batch_size: 15}
seeds: 2
folds: 2
rows:
  alone: []
  pretrained:
    overrides: ["stages={first: {train: {epochs: 1}}, all: {init: {keypoints: first}}}"]
    published: 66.35
    comparable: generated videos, and not those of the paper
  gently:
    - "stages={first: {train: {epochs: 1}}, all: {init: {keypoints: first}, train: {lr: 1.0e-4}}}"
"""


@dataclass
class Folded:
    """An ablation with folds: its file, its runs, its table, and each epoch that was trained."""

    file: Path
    runs: Path
    table: pd.DataFrame
    epochs: list[tuple[Path, str]]


@pytest.fixture(scope="module")
def folded(tmp_path_factory: pytest.TempPathFactory) -> Folded:
    folder = tmp_path_factory.mktemp("folded")
    file, runs, epochs = folder / "rows.yaml", folder / "runs", list[tuple[Path, str]]()
    file.write_text(FOLDED)
    table = api.ablate(file, runs, on_epoch=lambda run, row: epochs.append((run, row["stage"])))
    return Folded(file, runs, table, epochs)


def test_with_folds_every_row_seed_and_fold_is_a_run(folded: Folded) -> None:
    found = folded.runs.glob("*/seed-*/fold-*/run.json")
    places = sorted(path.parent.relative_to(folded.runs) for path in found)
    rows, cuts = ("alone", "gently", "pretrained"), ("fold-0", "fold-1")
    assert places == [Path(r, s, f) for r in rows for s in ("seed-0", "seed-1") for f in cuts]
    own = load_run(folded.runs / "alone" / "seed-1" / "fold-1").experiment
    assert (own.seed, own.folds, own.fold) == (1, 2, 1)


def test_each_item_is_judged_once_a_seed_by_who_did_not_learn_from_its_subject(
    folded: Folded,
) -> None:
    row = of_runs("alone", runs_in(folded.runs / "alone"), "held")
    assert row.seeds == (0, 1)
    assert row.right.shape == (2, 60)
    assert not np.isnan(row.right).any()
    for cut in ("fold-0", "fold-1"):
        run = load_run(folded.runs / "alone" / "seed-0" / cut)
        data = prepare(run.experiment)
        judged = {one.subject for one in saved_predictions(run, "held")}
        assert not judged & {ref.subject for ref in [*data.train.refs, *data.val.refs]}
    assert (
        "held, planted:null, 60 items, 30 subjects, seeds: 2, folds: 2"
        in folded.table.attrs["caption"]
    )


def test_a_stage_that_rows_have_in_common_is_trained_once(folded: Folded) -> None:
    trained = Counter(stage for _, stage in folded.epochs)
    assert trained == {"": 4 * 2, "first": 4 * 1, "all": 2 * 4 * 2}  # four: two seeds, two folds
    assert len(list((folded.runs / "stages").iterdir())) == 4


def test_in_a_world_without_truth_no_row_stands_out_and_the_table_says_so(folded: Folded) -> None:
    assert (
        "no row differs from the first by more than could be detected"
        in folded.table.attrs["caption"]
    )
    assert "could be detected (power 0.8 at 0.05):" in folded.table.attrs["caption"]
    assert folded.table.attrs["bold"] == []
    assert folded.table["p (Holm)"].notna().tolist() == [False, True, True]


def test_a_killed_ablation_with_folds_goes_on_where_it_was(folded: Folded, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    shutil.copytree(folded.runs, runs)
    shutil.rmtree(runs / "gently" / "seed-1" / "fold-0")
    (runs / "pretrained" / "seed-0" / "fold-1" / "predictions-held.csv").unlink()
    epochs: list[Path] = []
    table = api.ablate(folded.file, runs, on_epoch=lambda run, row: epochs.append(run))
    assert epochs == [runs / "gently" / "seed-1" / "fold-0"] * 2
    columns = ["accuracy", "difference", "p (Holm)"]
    assert table[columns].astype(str).equals(folded.table[columns].astype(str))


def test_what_a_paper_reports_stands_beside_ours_in_every_format(folded: Folded) -> None:
    for suffix, part in {
        "md": "| 66.35 % |",
        "tex": r"66.35 \%",
        "html": "<td>66.35 %</td>",
        "csv": "66.35",
        "json": '"published": 66.35',
    }.items():
        text = (folded.runs / f"ablation-held.{suffix}").read_text()
        assert part in text, suffix
        assert "and not those of the paper" in text
    assert r"\toprule" in (folded.runs / "ablation-held.tex").read_text()


def test_runs_of_a_row_and_a_file_of_another_tool_are_compared_by_one_command(
    folded: Folded, tmp_path: Path
) -> None:
    items = of_runs("alone", runs_in(folded.runs / "alone"), "held").items
    lines = [f"{item.id},{0.8 if item.label else 0.1}\n" for item in items]
    (tmp_path / "other.csv").write_text("video_id,prob\n" + "".join(lines))
    given = ["compare", str(folded.runs / "alone"), str(tmp_path / "other.csv")]
    done = CliRunner().invoke(build_app(), [*given, "--json"])
    assert done.exit_code == 0, done.output
    run, other = json.loads(done.stdout)
    assert (other["accuracy"]["value"], other["AUC"]["value"]) == (1, 1)
    assert other["difference"]["value"] == pytest.approx(1 - run["accuracy"]["value"])
    assert other["p (Holm)"] < 0.05
    assert f"in bold: {tmp_path / 'other.csv'}" in done.stderr
    shown = CliRunner().invoke(build_app(), given).stdout
    assert "p (Holm)" in shown


def test_a_run_of_another_protocol_is_not_compared(folded: Folded, finished: Path) -> None:
    with pytest.raises(DataError, match="planted:null and planted:cross_part never stand in one"):
        api.compare([folded.runs / "alone", finished], "val")


def test_a_seed_that_lacks_a_fold_is_no_result(folded: Folded) -> None:
    runs = runs_in(folded.runs / "alone")
    with pytest.raises(DataError, match="alone: seed 1 lacks fold 1, which another seed has"):
        of_runs("alone", runs[:3], "held")
    assert of_runs("alone", runs[::2], "held").right.shape[0] == 2  # the same fold of each


def test_rows_of_other_configs_are_no_seeds_of_one(folded: Folded) -> None:
    both = [run for row in ("alone", "gently") for run in runs_in(folded.runs / row)]
    with pytest.raises(DataError, match="are runs of different configs"):
        of_runs("both", both, "held")


@pytest.mark.slow
@pytest.mark.parametrize("executor", ["local", "ray"])
def test_several_trainings_at_once_give_the_same_table(
    folded: Folded, tmp_path: Path, executor: Executor
) -> None:
    if executor == "ray":
        pytest.importorskip("ray")
    table = api.ablate(folded.file, tmp_path / "runs", ["seeds=1"], jobs=2, executor=executor)
    again = api.ablate(folded.file, folded.runs, ["seeds=1"])
    assert table["accuracy"].astype(str).equals(again["accuracy"].astype(str))
    assert len(list((tmp_path / "runs" / "stages").iterdir())) == 2


@pytest.mark.slow
def test_killed_again_and_again_it_ends_with_the_same_table(folded: Folded, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    command = [sys.executable, "-m", "emoframe", "ablate", str(folded.file), "--run", str(runs)]
    for jobs in (1, 2, 1, 2):
        process = subprocess.Popen([*command, "--jobs", str(jobs)], stderr=subprocess.DEVNULL)
        with suppress(subprocess.TimeoutExpired):
            process.wait(20)
        process.kill()
        process.wait()
    time.sleep(5)  # those whose parent is gone end by themselves
    table = api.ablate(folded.file, runs)
    columns = ["accuracy", "difference", "p (Holm)", "AUC", "by seed"]
    assert table[columns].astype(str).equals(folded.table[columns].astype(str))


def test_the_report_of_a_run_says_whom_and_what_it_gets_wrong(
    folded: Folded, tmp_path: Path
) -> None:
    run = load_run(folded.runs / "alone" / "seed-0" / "fold-0")
    scores = score(saved_predictions(run, "held"), run.classes)
    page = write_report(tmp_path / "report.html", run, scores, "held").read_text()
    assert "held (planted:null), seed 0, fold 0 of 2" in page
    worst = min(saved_predictions(run, "held"), key=lambda one: one.probability[one.label])
    assert f"<td>{worst.id}</td>" in page
    assert f"<td>{worst.probability[worst.label]:.3f}</td>" in page
    assert "Subjects, of " in page


@pytest.mark.slow
@pytest.mark.usefixtures("killer")
def test_a_training_that_dies_is_a_row_with_a_reason(tmp_path: Path, tiny: list[str]) -> None:
    (tmp_path / "rows.yaml").write_text(
        "base: quickstart\nseeds: 1\nrows: {a: [], b: [model.loss.type=killer]}\n"
    )
    table = api.ablate(tmp_path / "rows.yaml", tmp_path / "runs", tiny, jobs=2)
    assert table["accuracy"].notna().tolist() == [True, False]
    assert "the process that trained it ended with exit code -9" in table["failed"].tolist()[1]


@pytest.fixture
def killer(tmp_path: Path) -> Iterator[None]:
    """Load a loss that kills whoever computes it, and take it away again."""
    file = tmp_path / "killer.py"
    file.write_text(
        "import os\nimport torch\nimport emoframe\n\n"
        "@emoframe.component('loss', 'killer')\nclass Killer(torch.nn.Module):\n"
        "    def forward(self, output, target):\n        os.kill(os.getpid(), 9)\n"
    )
    plugin = loaded().load_file(file)
    yield
    loaded().plugins.remove(plugin)
    loaded().manager.unregister(name=plugin.name)
    loaded().offers.pop(("loss", "killer"))
