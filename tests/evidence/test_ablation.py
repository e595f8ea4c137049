"""An ablation trains each row once per seed and fold, loses nothing, and pairs what it compares."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from emoframe import api
from emoframe.cli.app import build_app
from emoframe.core import config
from emoframe.core.errors import ConfigError, DataError, RunError
from emoframe.evidence.evaluate import saved_predictions
from emoframe.evidence.metrics import correctness, openings, pooled
from emoframe.evidence.stats import paired
from emoframe.evidence.tables.compare import Trained, compare

HIDDEN = "model.branches.keypoints.keypoint_backbone.hidden"
ROWS = f"""\
base: quickstart
overrides: [train.lr=0.01, {HIDDEN}=8]
seeds: 2
rows:
  small: []
  Big one: [{HIDDEN}=16, train.lr=0.02]
"""
FAILS = "  too few: [train.val_fraction=0.01]\n"
REASON = "the promise of the ablation"
Write = Callable[[str], Path]


@pytest.fixture
def written(tmp_path: Path) -> Write:
    """Return a function that writes an ablation file."""

    def write(text: str) -> Path:
        (tmp_path / "rows.yaml").write_text(text)
        return tmp_path / "rows.yaml"

    return write


@pytest.fixture(scope="module")
def small(tiny: list[str]) -> list[str]:
    """Overrides over every row; `hidden` is left to the rows."""
    return [item for item in tiny if not item.startswith(HIDDEN)]


@pytest.fixture(scope="module")
def ablated(tmp_path_factory: pytest.TempPathFactory, small: list[str]) -> Path:
    """Folder of an ablation that is finished and was tested once, beside its file."""
    folder = tmp_path_factory.mktemp("ablated")
    (folder / "rows.yaml").write_text(ROWS)
    api.ablate(folder / "rows.yaml", folder / "runs", small, REASON)
    return folder


def runs_of(ablated: Path, row: str) -> list[api.Run]:
    return [api.load_run(ablated / "runs" / row / f"seed-{n}") for n in (0, 1)]


def said(table: pd.DataFrame) -> str:
    return table.attrs["caption"].lower()


def refusal(file: Path, *overrides: str) -> str:
    with pytest.raises(ConfigError) as refused:
        api.load_ablation(file, overrides)
    return str(refused.value)


def test_each_row_is_trained_once_per_seed(ablated: Path) -> None:
    folders = sorted(path.parent for path in (ablated / "runs").rglob("resolved.yaml"))
    names = [str(path.relative_to(ablated / "runs")) for path in folders]
    assert names == ["big-one/seed-0", "big-one/seed-1", "small/seed-0", "small/seed-1"]
    big, small = runs_of(ablated, "big-one")[1].experiment, runs_of(ablated, "small")[0].experiment
    assert (big.seed, big.train.lr, small.train.lr) == (1, 0.02, 0.01)
    assert big.train.epochs == small.train.epochs == 2  # what was typed is laid over every row


def test_the_table_says_all_that_a_number_needs(ablated: Path) -> None:
    written = json.loads((ablated / "runs" / "ablation-test.json").read_text())
    first, other = written["rows"]
    for row, folder in ((first, "small"), (other, "big-one")):
        runs = runs_of(ablated, folder)
        whole = correctness([saved_predictions(run, "test") for run in runs])
        assert row["accuracy"]["low"] <= row["accuracy"]["value"] <= row["accuracy"]["high"]
        assert row["accuracy"]["value"] == pytest.approx(pooled(whole)["accuracy"].value)
        assert row["parameters"] == sum(p.numel() for p in runs[0].model().parameters())
        assert row["ms per step"] > 0
        assert (row["epochs"], row["majority"]) == (2, 0.5)
    assert other["parameters"] > first["parameters"]
    for part in (
        "test, planted",
        "6 items",
        "SYNTHETIC",
        "opened 4 times by these 4",
        "fair basis",
    ):
        assert part in written["caption"]


def test_a_difference_is_paired_over_seeds_and_over_items(ablated: Path) -> None:
    both = [
        correctness([saved_predictions(run, "test") for run in runs_of(ablated, row)])
        for row in ("small", "big-one")
    ]
    expected = paired(both[0].right, both[1].right, both[0].subjects)
    _, other = json.loads((ablated / "runs" / "ablation-test.json").read_text())["rows"]
    for interval, unit in zip(expected, ("difference over seeds", "difference"), strict=True):
        told = other[unit]
        assert [told["low"], told["high"]] == pytest.approx([interval.low, interval.high])
        assert told["method"] == interval.method


def test_running_again_trains_nothing_and_opens_nothing(ablated: Path, small: list[str]) -> None:
    def stamps() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in (ablated / "runs").rglob("best.pth")}

    before, trained = stamps(), []
    table = (ablated / "runs" / "ablation-test.csv").read_text()
    again = [ablated / "rows.yaml", ablated / "runs", small, REASON]
    api.ablate(*again, on_epoch=lambda folder, row: trained.append(folder))
    assert not trained
    assert stamps() == before
    assert len(openings(ablated / "runs" / "small" / "seed-0")) == 1
    assert (ablated / "runs" / "ablation-test.csv").read_text() == table


def test_predictions_older_than_the_weights_are_made_again(
    written: Write, tmp_path: Path, small: list[str]
) -> None:
    file = written(ROWS.partition("  Big one")[0])
    api.ablate(file, tmp_path / "runs", [*small, "seeds=1"], REASON)
    run = tmp_path / "runs" / "small" / "seed-0"
    later = (run / "predictions-test.csv").stat().st_mtime + 10
    os.utime(run / "checkpoints" / "best.pth", (later, later))
    table = api.ablate(file, tmp_path / "runs", [*small, "seeds=1"], REASON)
    assert "opened 2 times by these 1" in table.attrs["caption"]


def test_an_ablation_that_was_stopped_goes_on(
    written: Write, tmp_path: Path, small: list[str]
) -> None:
    def stop(folder: Path, _: str) -> None:
        raise KeyboardInterrupt

    again, trained = [written(ROWS), tmp_path / "runs", [*small, "seeds=1"]], []
    with pytest.raises(KeyboardInterrupt):
        api.ablate(*again, on_run=stop)
    table = api.ablate(*again, on_epoch=lambda folder, _: trained.append(folder))
    assert trained == [tmp_path / "runs" / "big-one" / "seed-0"] * 2
    assert table["accuracy"].notna().all()


def test_without_a_reason_the_table_is_on_validation(ablated: Path, small: list[str]) -> None:
    table = api.ablate(ablated / "rows.yaml", ablated / "runs", small)
    assert table.attrs["caption"].startswith("val, ")
    assert "is not test" in table.attrs["caption"]
    assert "opened 4 times" in table.attrs["caption"]  # as many as before
    for accuracy, seeds in zip(table["accuracy"], table["seeds (min to max)"], strict=True):
        low, high = map(float, seeds.split(" to "))
        assert low - 1e-3 <= accuracy.value <= high + 1e-3
        assert accuracy.low <= accuracy.value <= accuracy.high
    assert table["difference"].notna().tolist() == [False, True]


def test_rows_on_other_data_are_not_compared(
    written: Write, tmp_path: Path, small: list[str]
) -> None:
    file = written(ROWS.replace("small: []", "small: [dataset.seed=1]"))
    table = api.ablate(file, tmp_path / "runs", [*small, "seeds=1"], REASON)
    assert table["accuracy"].notna().all()
    assert "difference" not in table
    assert "big one: no difference: small and big one were judged on other items" in said(table)


def test_rows_of_different_protocols_are_refused_before_anything_is_trained(
    written: Write, tmp_path: Path, small: list[str]
) -> None:
    file = written(ROWS.replace("small: []", "small: [dataset.world=slow]"))
    with pytest.raises(DataError, match="planted:slow .*never stand in one table"):
        api.ablate(file, tmp_path / "runs", [*small, "seeds=1"])
    assert not (tmp_path / "runs").exists()


def test_rows_of_different_protocols_are_refused_before_anything_is_opened(ablated: Path) -> None:
    one, other = runs_of(ablated, "small"), runs_of(ablated, "big-one")
    protocol = one[0].card["protocol"]
    marked = [replace(run, card=run.card | {"protocol": f"{protocol}/incomplete"}) for run in other]
    for run in (*one, *other):  # so that scoring would have to open test again
        os.utime(run.folder / "checkpoints" / "best.pth", (3e9, 3e9))
    before = [len(openings(run.folder)) for run in (*one, *other)]
    try:
        with pytest.raises(
            DataError, match=f"{protocol} and {protocol}/incomplete never stand in one table; put"
        ):
            compare({"small": Trained(one), "big": Trained(marked)}, "test", REASON)
        assert [len(openings(run.folder)) for run in (*one, *other)] == before
    finally:
        for run in (*one, *other):
            os.utime(run.folder / "checkpoints" / "best.pth", (1e9, 1e9))


def test_a_row_that_fails_is_a_row_with_a_reason(ablated: Path, small: list[str]) -> None:
    (ablated / "more.yaml").write_text(ROWS + FAILS)
    told: list[str] = []
    table = api.ablate(
        ablated / "more.yaml", ablated / "runs", small, on_run=lambda _, reason: told.append(reason)
    )
    assert table["accuracy"].notna().tolist() == [True, True, False]
    assert "seed 0: the rarest class has" in table["failed"].tolist()[2]
    assert [bool(reason) for reason in told] == [False] * 4 + [True]


def test_a_table_of_nothing_but_failures_has_no_number(
    written: Write, tmp_path: Path, small: list[str]
) -> None:
    file = written(ROWS.partition("  small")[0] + FAILS)
    table = api.ablate(file, tmp_path / "runs", small)
    assert list(table.columns) == ["row", "failed"]
    assert "no items" in table.attrs["caption"]


def test_the_command_says_by_its_exit_code_that_a_row_failed(
    ablated: Path, small: list[str]
) -> None:
    (ablated / "one.yaml").write_text(ROWS.partition("  Big one")[0] + FAILS)
    args = ["ablate", str(ablated / "one.yaml"), *small, "--seeds", "1"]
    done = CliRunner().invoke(build_app(), [*args, "--run", str(ablated / "runs"), "--json"])
    assert done.exit_code == 1, done.output
    good, bad = json.loads(done.stdout)
    assert good["accuracy"]["low"] <= good["accuracy"]["high"]
    assert bad["failed"].startswith("seed 0: ")
    assert "run 1/2" in done.stderr
    assert "seed-0 failed: the rarest class" in done.stderr


def test_every_problem_of_every_row_is_shown_with_its_row(written: Write) -> None:
    bad = "  typo: [train.epohcs=3, seeds=3]\n  half: [train.lr]\n"
    lines = refusal(written(ROWS + bad), "train.batch_size=0").splitlines()
    assert len(lines) == 4
    for part in (
        "rows.yaml:7, row 'typo'  train.epohcs: unknown; did you mean 'epochs'?",
        "rows.yaml:7, row 'typo'  seeds: unknown; did you mean 'seed'",
        "rows.yaml:8, row 'half'  'train.lr' is not of the form key=value",
        "command line, row 'small', 'Big one', 'typo'  train.batch_size: must be int > 0, got 0",
    ):
        assert any(line.startswith(part) for line in lines), lines


def test_what_is_wrong_with_all_rows_is_shown_once(written: Write) -> None:
    assert refusal(written(ROWS.replace("train.lr=0.01", "train.lrr=0.01"))).splitlines() == [
        "rows.yaml:2  train.lrr: unknown; did you mean 'lr'? (Train takes "
        + ", ".join(vars(api.load("quickstart").train))
        + ")"
    ]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("small: []", f"small: [train.lr=0.02, {HIDDEN}=16]"), "same experiment as row 'small'"),
        (("Big one", "SMALL"), "rows.yaml:6  rows.SMALL: has the same folder name as row 'small'"),
        (("Big one", "'??'"), "has no letter or digit"),
        (("rows:", "rowz:"), "rows.yaml:4  rowz: unknown; did you mean 'rows'?"),
        (("seeds: 2", "trian: {}"), "rows.yaml:3  trian: unknown; did you mean 'train'?"),
        (("seeds: 2", "seeds: 0"), "rows.yaml:3  seeds: must be int > 0, got 0"),
        (("seeds: 2", "folds: 1"), "rows.yaml:3  folds: is 1, which leaves nothing to train on"),
        (("small: []", "small: {override: []}"), "rows.small.override: unknown; did you mean"),
        (("small: []", "small: {published: 663}"), "published: must be float >= 0 and <= 100"),
        (("[train.lr=0.01,", "[folds=3,"), "overrides: changes `folds`"),
        (("base: quickstart", "base: quickstrat"), "there is no config 'quickstrat'"),
    ],
)
def test_an_ablation_that_cannot_be_is_refused(
    change: tuple[str, str], says: str, written: Write
) -> None:
    assert says in refusal(written(ROWS.replace(*change)))


def test_an_ablation_without_rows_is_refused(written: Write) -> None:
    assert "needs at least one row" in refusal(written("base: quickstart\nrows: {}\n"))
    assert "rows: is required" in refusal(written("base: quickstart\n"))


def test_every_shipped_ablation_is_right() -> None:
    files = [path for folder in config.shipped() for path in (folder / "ablations").glob("*.yaml")]
    assert files
    for file in files:
        dataset = config.load(file).data["dataset"]
        given = [f"dataset.{key}=x" for key, value in dataset.items() if value == "???"]
        assert api.load_ablation(file, given)


def test_a_row_cannot_change_the_seeds_that_it_is_paired_by(written: Write) -> None:
    refused = refusal(written("base: quickstart\nrows: {a: [], b: [seed=4], c: [folds=3]}\n"))
    assert "rows.b: changes `seed`" in refused
    assert "rows.c: changes `folds`" in refused


def test_a_reason_of_blanks_is_refused_before_anything_is_trained(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="needs a reason"):
        api.ablate("ablations/offsets", tmp_path, test=" ")
    assert not any(tmp_path.iterdir())


def test_a_table_of_no_row_is_refused() -> None:
    with pytest.raises(DataError, match="nothing to compare"):
        compare({})
    assert "not trained" in compare({"a": Trained([])})["failed"][0]
