"""The Python API: what the command line does, as plain functions that return tables and records."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import pandas as pd

from emoframe.core import config
from emoframe.core.errors import ConfigError, DataError, EmoframeError, Problem
from emoframe.core.registry import create
from emoframe.core.schema import plain
from emoframe.evidence.evaluate import evaluate, summary
from emoframe.evidence.metrics import check_reason
from emoframe.evidence.prediction.predict import predict
from emoframe.evidence.tables.ablation import Planned, load_ablation, mode_of, run_folder, seeds_of
from emoframe.evidence.tables.alike import one_mode, one_protocol
from emoframe.evidence.tables.compare import Trained
from emoframe.evidence.tables.compare import compare as compare_runs
from emoframe.evidence.tables.formats import save
from emoframe.evidence.tables.sources import compare_sources
from emoframe.evidence.tables.trainings import Executor, Training, plugin_files, train_all
from emoframe.interfaces import Dataset, Split
from emoframe.learning.experiment import Experiment
from emoframe.learning.recipe import train_recipe
from emoframe.learning.run import Run, load_run
from emoframe.learning.runner import OnEpoch
from emoframe.learning.sources import devices, keys_of, name_of
from emoframe.perception.events import Item, Row
from emoframe.perception.pipeline import How, OnProgress, StoppedError
from emoframe.perception.pipeline import extract as extract_videos
from emoframe.perception.settings import Perception

__all__ = [
    "How", "Run", "StoppedError", "ablate", "check_reason", "compare", "devices", "evaluate",
    "extract", "load", "load_ablation", "load_run", "predict", "seeds_of", "summary", "train",
]  # fmt: skip
OnEachEpoch = Callable[[Path, Mapping[str, float]], None]
OnRun = Callable[[Path, str], None]
SPLITS: tuple[Split, ...] = ("train", "test")


def load(source: str | Path | Experiment, overrides: Sequence[str] = ()) -> Experiment:
    """Read and check an experiment.

    Args:
        source: A config file, the name of a shipped config, or an experiment.
        overrides: `key=value` items.

    Raises:
        ConfigError: With everything that is wrong.
    """
    if isinstance(source, Experiment):  # one made in Python is checked and filled like a file
        return config.check(Experiment, config.Config(plain(source)))
    return config.check(Experiment, config.load(source, overrides))


def train(
    source: str | Path | Experiment,
    run: str | Path,
    overrides: Sequence[str] = (),
    on_epoch: OnEpoch = lambda row: None,
    stages: Path | None = None,
) -> Run:
    """Train an experiment in a run folder; an interrupted run goes on, a finished one is left.

    Args:
        source: The experiment, or the config that says it.
        run: The run folder.
        overrides: `key=value` items over a config.
        on_epoch: Called with one row per finished epoch; `stage` in it names the stage.
        stages: Folder of the stages before the last, to be shared with other runs.

    Raises:
        EmoframeError: The config, the data or the run folder cannot be used as asked.
    """
    return train_recipe(load(source, overrides), Path(run), on_epoch, stages)


def ablate(
    source: str | Path | Mapping[str, Planned],
    run: str | Path,
    overrides: Sequence[str] = (),
    test: str = "",
    on_epoch: OnEachEpoch = lambda folder, row: None,
    on_run: OnRun = lambda folder, reason: None,
    jobs: int = 1,
    executor: Executor = "local",
) -> pd.DataFrame:
    """Train the rows of an ablation over seeds and folds, and return and write their table.

    A killed one goes on when it is started again. A row that fails is one with a reason. Stages
    before the last that several rows have in common are trained once.

    Args:
        source: An ablation file, the name of a shipped one, or what `load_ablation` made of it.
        run: Folder; a run lies in `row/seed-n` or `row/seed-n/fold-k`, shared stages in `stages`,
            the table in `ablation-SPLIT` as csv, json, md, tex and html.
        overrides: `key=value` items over every row of a file.
        test: Why test is opened; empty scores out of fold where there are folds, else on
            validation.
        on_epoch: Called with the run folder and one row per finished epoch; not by other processes.
        on_run: Called with each run folder and why it failed, empty where it did not.
        jobs: How many train at once, each in a process of its own if more than one.
        executor: `local` or `ray`.

    Raises:
        ConfigError: With everything that is wrong with any row, before anything is trained.
        RunError: The reason for opening test says nothing.
        DataError: The rows are of different protocols or modes.
    """
    if test:
        check_reason(test)
    if isinstance(source, Mapping) and overrides:
        text = "overrides change an ablation file, not one that was loaded"
        raise ConfigError([Problem("", text)])
    rows = source if isinstance(source, Mapping) else load_ablation(source, overrides)
    one_protocol(_protocols(rows))
    one_mode({name: mode_of(one) for name, row in rows.items() for one in row.experiments[:1]})
    split = _split_of(rows, test)
    trained = _trained(rows, Path(run), "" if test else split, on_run, (on_epoch, jobs, executor))
    table = compare_runs(trained, split, test)
    save(table, Path(run), split)
    return table


def _split_of(rows: Mapping[str, Planned], test: str) -> str:
    """Return what an ablation is judged on."""
    folds = any(one.folds for row in rows.values() for one in row.experiments)
    return "test" if test else "held" if folds else "val"


def _trained(
    rows: Mapping[str, Planned],
    folder: Path,
    split: str,
    on_run: OnRun,
    how: tuple[OnEachEpoch, int, Executor],
) -> dict[str, Trained]:
    """Train what is missing; score it on `split` unless that is empty, as for test.

    Test is opened by this process alone, once all is trained.
    """
    plugins, failed = plugin_files(), dict[str, str]()
    planned = [
        Training(name, one, folder / run_folder(name, one), folder / "stages", split, plugins)
        for name, row in rows.items()
        for one in row.experiments
    ]

    def told(one: Training, reason: str) -> None:
        if reason:
            fold = f", fold {one.experiment.fold}" if one.experiment.folds else ""
            failed.setdefault(one.row, f"seed {one.experiment.seed}{fold}: {reason}")
        on_run(one.folder, reason)

    train_all(planned, told, *how)
    return {
        name: Trained(
            [] if name in failed else [load_run(t.folder) for t in planned if t.row == name],
            failed.get(name, ""),
            row.published,
            row.comparable,
        )
        for name, row in rows.items()
    }


def _protocols(rows: Mapping[str, Planned]) -> Iterator[str]:
    """Yield the protocol of each row whose data set can be made; the others will say why not."""
    for row in rows.values():
        with suppress(EmoframeError):
            yield create("dataset", row.experiments[0].dataset).protocol


def compare(
    sources: Sequence[str | Path], split: str = "", reason: str = "", positive: str = ""
) -> pd.DataFrame:
    """Put runs and tables of predictions side by side, the others against the first.

    Args:
        sources: Run folders, folders of several seeds and folds of one experiment, or CSV files
            `video_id,prob`; at least one run, which says what is true of the items.
        split: `val`, `held` or `test`; empty takes `held` where the first run has folds, else
            `val`.
        reason: Why test is opened, for runs that were not scored on it yet.
        positive: The class whose probability `prob` is; the second if not given.

    Returns:
        One row each, see `emoframe.evidence.tables.compare.side_by_side`.

    Raises:
        DataError: They are of other items, protocols or modes, or a file cannot be used.
        RunError: There is no run, or test has no reason.
    """
    if split == "test":
        check_reason(reason)
    return compare_sources(sources, split, reason, positive)


def videos(experiment: Experiment) -> list[Item]:
    """Return every video that the data set of an experiment names, both splits.

    Raises:
        DataError: It names none.
    """
    dataset: Dataset = create("dataset", experiment.dataset)
    name = name_of(experiment, dataset)
    refs = [ref for split in SPLITS for ref in dataset.samples(split)]
    found = [Item(ref.video, ref.id, name) for ref in refs if ref.video]
    if not found:
        raise DataError(f"data set {name!r} names no videos; give some with --video")
    return found


def extract(
    source: str | Path | Experiment,
    files: Sequence[Path | Item] | None = None,
    how: How | None = None,
    *,
    on_row: Callable[[Row], None] = lambda row: None,
    on_progress: OnProgress = lambda progress: None,
) -> pd.DataFrame:
    """Extract keypoints and frame features into the store; what is there is not done again.

    Args:
        source: The experiment; its `perception` says with what.
        files: Videos; None takes those of the data set.
        how: By how many workers, where, and when to stop.
        on_row: Called for each finished stage of each video.
        on_progress: Called after each chunk of frames.

    Returns:
        One row per video and stage, failed ones with their reason.

    Raises:
        EmoframeError: The config has no perception section, or a part cannot work.
    """
    experiment = load(source)
    rows = extract_videos(
        files if files is not None else videos(experiment),
        experiment.perception or Perception(),
        how or How(devices=devices()),
        on_row=on_row,
        on_progress=on_progress,
    )
    return table_of(rows)


def table_of(rows: Sequence[Row]) -> pd.DataFrame:
    """Return what became of each stage as a table."""
    flat = [
        {
            "video": str(row.video), "stage": row.stage, "status": row.status,
            "reason": row.reason, "frames": row.frames, "valid": _percent(row.valid),
            "seconds": row.seconds,
        }
        for row in rows
    ]  # fmt: skip
    return pd.DataFrame(flat)


def stage_keys_of(experiment: Experiment) -> dict[str, str]:
    """Return the key of each stage that an experiment's perception fills, by its name.

    Raises:
        EmoframeError: A part cannot be built, or its weights are not here.
    """
    keys = keys_of(experiment.perception or Perception())
    return {stage.name: stage.key for stage in keys.all()}


def _percent(valid: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {share:.0%}" for name, share in valid.items())
