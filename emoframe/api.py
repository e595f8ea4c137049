"""The Python API: what the command line does, as plain functions that return tables and records."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

import pandas as pd

from emoframe.core import config
from emoframe.core.errors import ConfigError, DataError, EmoframeError, Problem
from emoframe.core.registry import create
from emoframe.core.schema import plain
from emoframe.evidence.compare import Trained, compare, save
from emoframe.evidence.evaluate import evaluate, one_protocol, summary
from emoframe.evidence.metrics import check_reason
from emoframe.evidence.predict import predict
from emoframe.evidence.sweep import load_sweep, row_folder, seeds_of
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
    "How", "Run", "StoppedError", "check_reason", "devices", "evaluate", "extract", "load",
    "load_run", "load_sweep", "predict", "seeds_of", "summary", "sweep", "train",
]  # fmt: skip
OnSweepEpoch = Callable[[Path, Mapping[str, float]], None]
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


def sweep(
    source: str | Path | Mapping[str, Sequence[Experiment]],
    run: str | Path,
    overrides: Sequence[str] = (),
    test: str = "",
    on_epoch: OnSweepEpoch = lambda folder, row: None,
    on_run: OnRun = lambda folder, reason: None,
) -> pd.DataFrame:
    """Train the rows of a sweep one by one, and return and write their table.

    A killed sweep goes on when it is started again. A row that fails is one with a reason.

    Args:
        source: A sweep file, the name of a shipped one, or what `load_sweep` made of it.
        run: Folder; a run lies in `row/seed-n`, the table in `sweep-SPLIT.csv` and `.json`.
        overrides: `key=value` items over every row of a file.
        test: Why test is opened; empty scores on validation.
        on_epoch: Called with the run folder and one row per finished epoch.
        on_run: Called with each run folder and why it failed, empty where it did not.

    Raises:
        ConfigError: With everything that is wrong with any row, before anything is trained.
        RunError: The reason for opening test says nothing.
        DataError: The rows are of different protocols.
    """
    if test:
        check_reason(test)
    if isinstance(source, Mapping) and overrides:
        raise ConfigError([Problem("", "overrides change a sweep file, not one that was loaded")])
    rows = source if isinstance(source, Mapping) else load_sweep(source, overrides)
    one_protocol(_protocols(rows))
    trained = {
        name: _train_row(experiments, Path(run) / row_folder(name), on_epoch, on_run)
        for name, experiments in rows.items()
    }
    split = "test" if test else "val"
    table = compare(trained, split, test)
    save(table, Path(run), split)
    return table


def _protocols(rows: Mapping[str, Sequence[Experiment]]) -> Iterator[str]:
    """Yield the protocol of each row whose data set can be made; the others will say why not."""
    for experiments in rows.values():
        with suppress(EmoframeError):
            yield create("dataset", experiments[0].dataset).protocol


def _train_row(
    experiments: Sequence[Experiment], folder: Path, on_epoch: OnSweepEpoch, on_run: OnRun
) -> Trained:
    """Train the seeds of a row up to the first that fails."""
    runs: list[Run] = []
    for one in experiments:
        place = folder / f"seed-{one.seed}"
        try:
            runs.append(train(one, place, on_epoch=partial(on_epoch, place)))
        except EmoframeError as error:
            on_run(place, str(error))
            return Trained(runs, f"seed {one.seed}: {error}")
        on_run(place, "")
    return Trained(runs)


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
