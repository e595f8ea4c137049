"""The Python API: what the command line does, as plain functions that return tables and records."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import pandas as pd

from emoframe.core import config
from emoframe.core.errors import DataError
from emoframe.core.registry import create
from emoframe.core.schema import plain
from emoframe.evidence.evaluate import evaluate, summary
from emoframe.evidence.predict import predict
from emoframe.interfaces import Dataset, Split
from emoframe.learning.checkpoint import epochs
from emoframe.learning.data import check_clips, prepare, rehearse
from emoframe.learning.experiment import Experiment, Perception
from emoframe.learning.model import Recognizer
from emoframe.learning.run import Run, alone, load_run, open_run, save_history
from emoframe.learning.runner import OnEpoch, check_precision, fit
from emoframe.learning.sources import stage_parts
from emoframe.perception.pipeline import OnProgress, Row
from emoframe.perception.pipeline import extract as extract_videos

__all__ = ["Run", "evaluate", "extract", "load", "load_run", "predict", "summary", "train"]
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
) -> Run:
    """Train an experiment in a run folder; an interrupted run goes on, a finished one is left.

    Raises:
        EmoframeError: The config, the data or the run folder cannot be used as asked.
    """
    experiment, folder = load(source, overrides), Path(run)
    check_precision(experiment.train)
    data = prepare(experiment)
    if not epochs(folder / "checkpoints"):  # nothing is written before everything fits together
        check_clips(data)
        rehearse(Recognizer(experiment.model, data.wiring), data)
    with alone(folder):
        done = open_run(folder, experiment, data)
        selection = fit(experiment, data, done.folder, on_epoch)
        save_history(done.folder, selection.history)
    return done


def seeds_of(experiment: Experiment, count: int) -> list[Experiment]:
    """Return an experiment once per seed, from its own seed on."""
    return [replace(experiment, seed=experiment.seed + n) for n in range(count)]


def videos(experiment: Experiment) -> list[Path]:
    """Return every video that the data set of an experiment names, both splits.

    Raises:
        DataError: It names none.
    """
    dataset: Dataset = create("dataset", experiment.dataset)
    found = [ref.video for split in SPLITS for ref in dataset.samples(split) if ref.video]
    if not found:
        raise DataError(
            f"data set {experiment.dataset['type']!r} names no videos; give some with --video"
        )
    return found


def extract(
    source: str | Path | Experiment,
    files: Sequence[Path] | None = None,
    *,
    retry_failed: bool = False,
    on_row: Callable[[Row], None] = lambda row: None,
    on_progress: OnProgress = lambda progress: None,
) -> pd.DataFrame:
    """Extract keypoints into the store; what is there is not done again.

    Args:
        source: The experiment; its `perception` says how.
        files: Videos; None takes those of the data set.
        retry_failed: Try again what failed before.
        on_row: Called for each finished stage of each video.
        on_progress: Called after each chunk of frames.

    Returns:
        One row per video and stage, failed ones with their reason.

    Raises:
        EmoframeError: The config has no perception section, or a part cannot work.
    """
    experiment = load(source)
    perception = experiment.perception or Perception()
    detector, pose_estimator = stage_parts(perception)
    rows = extract_videos(
        files if files is not None else videos(experiment),
        detector=detector,
        pose_estimator=pose_estimator,
        crop=perception.crop,
        store=perception.store,
        retry_failed=retry_failed,
        on_row=on_row,
        on_progress=on_progress,
    )
    flat = [asdict(row) | {"valid": _percent(row.valid), "video": str(row.video)} for row in rows]
    return pd.DataFrame(flat)


def _percent(valid: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {share:.0%}" for name, share in valid.items())
