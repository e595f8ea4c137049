"""mmengine's Runner, composed from an experiment, made resumable and strict.

This is the only module that imports `mmengine.runner`, whose annotations are narrower than what it
takes, hence `Any` for the runner. The Runner is built with its constructor,
which rejects unknown keys (`from_cfg` swallows them). Every random number of an epoch follows from
(seed, epoch), so that a resumed training equals an uninterrupted one, bit for bit, on the CPU.
It is given no `cfg`: mmengine would format that with yapf, for seconds at each checkpoint, and
`resolved.yaml` lies in the run folder anyway.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from mmengine.dataset import DefaultSampler
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmengine.runner.checkpoint import CheckpointLoader
from torch.utils.data import DataLoader

from emoframe.core.errors import RunError
from emoframe.core.files import settle
from emoframe.learning.checkpoint import (
    Selection,
    epochs,
    from_plain,
    load_from_emoframe,
    save,
    to_plain,
)
from emoframe.learning.clips import Clips, collate
from emoframe.learning.data import Data
from emoframe.learning.experiment import Experiment
from emoframe.learning.model import Recognizer
from emoframe.learning.stages import Train
from emoframe.records import Output, Target

OnEpoch = Callable[[Mapping[str, Any]], None]


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
        RunError: A checkpoint cannot be used, or the loss diverges.
    """
    guard_loading()
    seed_everything(experiment.seed, 0)
    model = Recognizer(experiment.model, data.wiring)
    if not epochs(folder / "checkpoints"):  # else what the texts taught stands in the checkpoint
        model.fit_texts(data.texts)
        model.start_from(init or {})
    selection = Selection(experiment.train.patience)
    hook = EpochEnd(folder, selection, on_epoch)
    with redirect_stdout(sys.stderr):  # mmengine prints where programs read
        _runner(experiment, data, folder, model, hook).train()
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


def seed_everything(seed: int, epoch: int) -> None:
    """Seed every global generator as a pure function of the seed and the epoch."""
    number = int(np.random.SeedSequence([seed, epoch]).generate_state(1)[0])
    random.seed(number)
    np.random.seed(number)  # noqa: NPY002 (libraries draw from the global one)
    torch.manual_seed(number)


class StrictRunner(Runner):
    """A Runner that never loads half a checkpoint."""

    def load_checkpoint(self, filename: str, *args: Any, **kwargs: Any) -> Any:
        """Load a checkpoint whose weights must match the model exactly."""
        kwargs["strict"] = True
        try:
            return super().load_checkpoint(filename, *args, **kwargs)
        except RuntimeError as error:
            raise RunError(f"{filename} does not fit the model: {error}") from error


class EpochStart(Hook):
    """Makes an epoch's randomness depend on nothing but the seed and the epoch."""

    priority = "VERY_HIGH"

    def __init__(self, seed: int, clips: Clips) -> None:
        self.seed, self.clips = seed, clips

    def before_train_epoch(self, runner: Any) -> None:
        """Seed, and tell the clips which epoch it is (loader workers are forked after this)."""
        self.clips.epoch = runner.epoch
        seed_everything(self.seed, runner.epoch + 1)


class EpochEnd(Hook):
    """After validation: selects, stops early, and writes the one checkpoint of the epoch."""

    priority = "LOWEST"

    def __init__(self, folder: Path, selection: Selection, on_epoch: OnEpoch) -> None:
        self.folder = folder / "checkpoints"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.selection, self.on_epoch = selection, on_epoch

    def before_train(self, runner: Any) -> None:
        """Do not train on where an earlier process had already stopped early."""
        runner.train_loop.stop_training = self.selection.exhausted

    def after_val_epoch(self, runner: Any, metrics: dict[str, float] | None = None) -> None:
        """Write the best weights first and the epoch last: either alone is consistent."""
        row = self._row(runner, metrics or {})
        if self.selection.see(row):
            best = {"state_dict": runner.model.state_dict(), "meta": {"epoch": runner.epoch}}
            save(self.folder / "best.pth", best)
        runner.train_loop.stop_training = self.selection.exhausted
        older = epochs(self.folder)
        name = f"epoch_{runner.epoch}.pth"
        meta = {"epoch": runner.epoch, "iter": runner.iter}
        runner.save_checkpoint(str(self.folder), f"{name}.partial", meta=meta)
        settle(self.folder / name, self.folder / f"{name}.partial")
        for path in older:
            path.unlink()
        self.on_epoch(row)

    def before_save_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        """Leave tensors and plain data only, and add the state of the selection."""
        checkpoint["selection"] = self.selection.state_dict()
        for key in ("message_hub", "meta", "param_schedulers", "selection"):
            checkpoint[key] = to_plain(checkpoint[key])

    def after_load_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        """Give mmengine its buffers back, and the selection its state.

        Raises:
            RunError: It is no checkpoint to resume from.
        """
        lacking = [k for k in ("message_hub", "selection", "optimizer") if k not in checkpoint]
        if lacking:
            raise RunError(f"the last epoch's checkpoint lacks {', '.join(lacking)}; delete it")
        checkpoint["message_hub"] = from_plain(checkpoint["message_hub"])
        self.selection.load_state_dict(checkpoint["selection"])

    def _row(self, runner: Any, metrics: dict[str, float]) -> dict[str, float]:
        steps = len(runner.train_loop.dataloader)
        losses, seconds = (
            runner.message_hub.get_scalar(f"train/{name}").data[0][-steps:]
            for name in ("loss", "time")
        )
        return {
            "epoch": runner.epoch,
            "train_loss": float(losses.mean()),
            "lr": float(runner.optim_wrapper.get_lr()["lr"][0]),
            **{f"val_{key}": float(value) for key, value in metrics.items()},
            "ms_per_step": 1000 * float(np.median(seconds)),  # loading included
        }


class ValidationLoss(BaseMetric):
    """The loss and the accuracy over validation."""

    default_prefix = ""

    def __init__(self, loss: Callable[..., torch.Tensor]) -> None:
        super().__init__()
        self.loss = loss

    def process(self, data_batch: dict[str, Any], data_samples: Sequence[Output]) -> None:
        """Take one batch in."""
        output = data_samples[0]
        target = Target(*(value.to(output.logits_NK.device) for value in data_batch["target"]))
        loss, labels = self.loss(output, target), target.prob_NK.argmax(-1)
        right = (output.logits_NK.argmax(-1) == labels).sum()
        self.results.append((float(loss) * len(labels), int(right), len(labels)))

    def compute_metrics(self, results: list[tuple[float, int, int]]) -> dict[str, float]:
        """Return means over clips."""
        loss, right, count = (sum(column) for column in zip(*results, strict=True))
        return {"loss": loss / count, "accuracy": right / count}


def _runner(
    experiment: Experiment, data: Data, folder: Path, model: Recognizer, end: EpochEnd
) -> StrictRunner:
    train = experiment.train
    last = epochs(end.folder)
    steps = -(-len(data.train) // train.batch_size)
    return StrictRunner(
        model=model,
        work_dir=str(folder / "mmengine"),
        train_dataloader=_loader(data.train, train, experiment.seed),
        train_cfg={"by_epoch": True, "max_epochs": train.epochs, "val_interval": 1},
        optim_wrapper=_optimizer(train),
        param_scheduler=_schedule(train, steps),
        val_dataloader=_loader(data.val, train),
        val_cfg={},
        val_evaluator=[ValidationLoss(model.loss)],
        default_hooks=cast("Any", {"checkpoint": None}),
        custom_hooks=[EpochStart(experiment.seed, data.train), end],
        load_from=str(last[-1]) if last else None,
        resume=bool(last),
        visualizer={"type": "Visualizer", "vis_backends": [{"type": "TensorboardVisBackend"}]},
        # runs of one process that share a name share logger and message hub, too
        experiment_name=f"emoframe-{folder.resolve()}".replace("/", "-"),
        randomness={"seed": experiment.seed},
        log_level="ERROR",
    )


def _loader(clips: Clips, train: Train, shuffle_seed: int | None = None) -> DataLoader[Any]:
    shuffle = shuffle_seed is not None
    return DataLoader(
        clips,
        train.batch_size,
        sampler=DefaultSampler(clips, shuffle=shuffle, seed=shuffle_seed or 0),
        num_workers=train.workers,
        collate_fn=collate,
        pin_memory=torch.cuda.is_available(),
    )


def _optimizer(train: Train) -> dict[str, Any]:
    """AdamW with clipping; biases, norms and single vectors are not decayed."""
    amp = {"type": "AmpOptimWrapper", "dtype": train.precision}
    return {
        **({"type": "OptimWrapper"} if train.precision == "float32" else amp),
        "optimizer": {"type": "AdamW", "lr": train.lr, "weight_decay": train.weight_decay},
        "clip_grad": {"max_norm": train.grad_clip},
        "paramwise_cfg": {"norm_decay_mult": 0.0, "bias_decay_mult": 0.0},
    }


def _schedule(train: Train, steps: int) -> list[dict[str, Any]]:
    """Linear warm-up, then cosine to zero, by step."""
    total = train.epochs * steps
    warm = int(train.warmup * total)
    warm = 0 if warm == 1 else warm  # mmengine's rise over a single step would never end
    rise = {"type": "LinearLR", "start_factor": 0.01, "by_epoch": False, "begin": 0, "end": warm}
    fall = {"type": "CosineAnnealingLR", "by_epoch": False, "begin": warm, "end": total}
    return [*([rise] if warm else []), {**fall, "T_max": total - warm, "eta_min": 0.0}]
