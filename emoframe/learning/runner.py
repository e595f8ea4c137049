"""mmengine's Runner, composed from an experiment, made resumable and strict.

This is the only module that imports `mmengine.runner`, whose annotations are narrower than what it
takes, hence `Any` for the runner. The Runner is built with its constructor,
which rejects unknown keys (`from_cfg` swallows them). Every random number of an epoch follows from
(seed, epoch), so that a resumed training equals an uninterrupted one, bit for bit, on the CPU.
It is given no `cfg`: mmengine would format that with yapf, for seconds at each checkpoint, and
`resolved.yaml` lies in the run folder anyway.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, cast

import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmengine.runner.checkpoint import CheckpointLoader

from emoframe.core.errors import RunError
from emoframe.learning import batches, processes
from emoframe.learning.checkpoint import Selection, epochs, load_from_emoframe
from emoframe.learning.data import Data
from emoframe.learning.engine import MMDistributedDataParallel
from emoframe.learning.experiment import Experiment
from emoframe.learning.hooks import (
    Average,
    EpochEnd,
    EpochStart,
    OnEpoch,
    Schedule,
    ValidationLoss,
    Watch,
    seed_everything,
)
from emoframe.learning.model import Recognizer
from emoframe.learning.stages import Train


def fit(
    experiment: Experiment,
    data: Data,
    folder: Path,
    on_epoch: OnEpoch,
    init: Mapping[str, Mapping[str, torch.Tensor]] | None = None,
) -> Selection:
    """Train an experiment in a run folder, going on where an earlier process stopped.

    Args:
        experiment: What to train.
        data: Its data.
        folder: Run folder; `checkpoints/` in it holds the last epoch and the best.
        on_epoch: Called with one row per finished epoch.
        init: Weights that branches start from, by their names.

    Returns:
        The epochs that were run and which was selected.

    Raises:
        RunError: A checkpoint cannot be used, or the processes cannot share a batch.
        DivergedError: A loss became no finite number; the last checkpoint is left as it is.
    """
    guard_loading()
    seed_everything(experiment.seed, 0)
    model = Recognizer(experiment.model, data.wiring)
    if not epochs(folder / "checkpoints"):  # else what the texts taught stands in the checkpoint
        model.fit_texts(data.texts)
        model.start_from(init or {})
    selection = Selection(experiment.train.patience)
    average = Average(experiment.train.ema) if experiment.train.ema else None
    end = EpochEnd(folder, selection, model, on_epoch, average)
    with redirect_stdout(sys.stderr):  # mmengine prints where programs read
        hooks = [*([average] if average else []), end]
        _runner(experiment, data, folder, model, hooks).train()
    return selection


def guard_loading() -> None:
    """Put the safe loader over every loader of mmengine, remote ones included."""
    for prefix in list(CheckpointLoader._schemes):
        CheckpointLoader.register_scheme(prefix, load_from_emoframe, force=True)


def check_precision(train: Train) -> None:
    """Refuse mixed precision where there is no GPU.

    Raises:
        RunError: It is asked for on a machine without one.
    """
    if train.precision != "float32" and not torch.cuda.is_available():
        raise RunError(
            f"train.precision is {train.precision!r} and this machine has no GPU; "
            "set train.precision=float32"
        )


class StrictRunner(Runner):
    """A Runner that never loads half a checkpoint."""

    def load_checkpoint(self, filename: str, *args: Any, **kwargs: Any) -> Any:
        """Load a checkpoint whose weights must match the model exactly."""
        kwargs["strict"] = True
        try:
            return super().load_checkpoint(filename, *args, **kwargs)
        except RuntimeError as error:
            raise RunError(f"{filename} does not fit the model: {error}") from error


def _runner(
    experiment: Experiment, data: Data, folder: Path, model: Recognizer, hooks: list[Hook]
) -> StrictRunner:
    train = experiment.train
    last = epochs(folder / "checkpoints")
    steps = -(-len(data.train) // train.batch_size)
    return StrictRunner(
        model=_shared(model) if processes.grouped() else model,
        work_dir=str(folder / "mmengine"),
        train_dataloader=batches.training(data.train, train, experiment.seed, data.wiring),
        train_cfg={"by_epoch": True, "max_epochs": train.epochs, "val_interval": 1},
        optim_wrapper=_optimizer(train),
        param_scheduler=_schedule(train, -(-steps // train.accumulate)),
        val_dataloader=batches.validation(data.val, train),
        val_cfg={},
        val_evaluator=[ValidationLoss(model.loss)],
        default_hooks=cast("Any", {"checkpoint": None, "param_scheduler": Schedule()}),
        custom_hooks=[EpochStart(experiment.seed, data.train), Watch(), *hooks],
        load_from=str(last[-1]) if last else None,
        resume=bool(last),
        launcher="pytorch" if processes.grouped() else "none",
        visualizer={"type": "Visualizer", "vis_backends": [{"type": "TensorboardVisBackend"}]},
        # runs of one process that share a name share logger and message hub, too
        experiment_name=f"emoframe-{folder.resolve()}".replace("/", "-"),
        randomness={"seed": experiment.seed},
        log_level="ERROR",
    )


def _shared(model: Recognizer) -> MMDistributedDataParallel:
    """Let the processes average gradients; mmengine's own wrapping takes GPUs only."""
    gpu = [torch.cuda.current_device()] if torch.cuda.is_available() else None
    if gpu:
        model.to("cuda")
    # encoders that are fine-tuned have weights that no output depends on
    return MMDistributedDataParallel(model, device_ids=gpu, find_unused_parameters=True)


def _optimizer(train: Train) -> dict[str, Any]:
    """AdamW with clipping; biases, norms and single vectors are not decayed."""
    amp = {"type": "AmpOptimWrapper", "dtype": train.precision}
    return {
        **({"type": "OptimWrapper"} if train.precision == "float32" else amp),
        "optimizer": {"type": "AdamW", "lr": train.lr, "weight_decay": train.weight_decay},
        "clip_grad": {"max_norm": train.grad_clip},
        "accumulative_counts": train.accumulate,
        "paramwise_cfg": {"norm_decay_mult": 0.0, "bias_decay_mult": 0.0},
    }


def _schedule(train: Train, updates: int) -> list[dict[str, Any]]:
    """Linear warm-up, then cosine to zero, by update of the weights; `updates` is of an epoch."""
    total = train.epochs * updates
    warm = int(train.warmup * total)
    warm = 0 if warm == 1 else warm  # mmengine's rise over a single step would never end
    rise = {"type": "LinearLR", "start_factor": 0.01, "by_epoch": False, "begin": 0, "end": warm}
    fall = {"type": "CosineAnnealingLR", "by_epoch": False, "begin": warm, "end": total}
    return [*([rise] if warm else []), {**fall, "T_max": total - warm, "eta_min": 0.0}]
