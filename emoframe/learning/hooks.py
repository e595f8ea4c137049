"""What happens around the steps and epochs of mmengine's loop.

Decided here: gradients of several steps never cross the end of an epoch, where the only checkpoint
of the epoch is written; a loss that is no number stops training before anything is.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.evaluator import BaseMetric
from mmengine.hooks import EMAHook, Hook, ParamSchedulerHook

from emoframe.core.errors import RunError
from emoframe.core.files import settle
from emoframe.learning import processes
from emoframe.learning.checkpoint import (
    DivergedError,
    Selection,
    epochs,
    from_plain,
    save,
    to_plain,
)
from emoframe.learning.clips import Clips
from emoframe.learning.model import Recognizer
from emoframe.records import Output, Target

OnEpoch = Callable[[Mapping[str, Any]], None]


def seed_everything(seed: int, epoch: int, rank: int = 0) -> None:
    """Seed every global generator as a pure function of the seed, the epoch and the process."""
    # numpy fills the entropy up with zeros, so that one process draws what it drew without a rank
    number = int(np.random.SeedSequence([seed, epoch, rank]).generate_state(1)[0])
    random.seed(number)
    np.random.seed(number)  # noqa: NPY002 (libraries draw from the global one)
    torch.manual_seed(number)


class EpochStart(Hook):
    """Makes an epoch's randomness depend on nothing but the seed and the epoch."""

    priority = "VERY_HIGH"

    def __init__(self, seed: int, clips: Clips) -> None:
        self.seed, self.clips = seed, clips

    def before_train_epoch(self, runner: Any) -> None:
        """Seed, and tell the clips which epoch it is (loader workers are forked after this).

        Steps are counted from the start of the epoch: what is left of them at its end is an update
        of its own, so that a resumed training lacks no gradient.
        """
        self.clips.epoch = runner.epoch
        seed_everything(self.seed, runner.epoch + 1, processes.rank())
        steps = len(runner.train_loop.dataloader)
        runner.optim_wrapper.initialize_count_status(runner.model, 0, steps)


class Watch(Hook):
    """Stops training where the loss is no number, and says on which items."""

    def after_train_iter(
        self,
        runner: Any,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Mapping[str, Any] | None = None,
    ) -> None:
        """Look at the loss of a step, and at the gradient of an update.

        Raises:
            DivergedError: One is no finite number.
        """
        loss, items = runner.message_hub.get_scalar("train/loss").current(), data_batch["ids"]
        broken = not math.isfinite(loss)
        if processes.average(broken) > 0:  # all processes stop, and name what broke any of them
            losses = processes.dealt_back([loss] * broken)
            items = processes.dealt_back(items * broken)
            raise _diverged(f"the training loss is {losses[0]}", items, runner.epoch, batch_idx)
        norm = runner.message_hub.log_scalars.get("train/grad_norm")
        # the scaler of float16 finds gradients that are too large itself, and leaves them out
        scaled = hasattr(runner.optim_wrapper, "loss_scaler")
        if norm and not scaled and not math.isfinite(norm.current()):
            items = processes.dealt_back(items)
            text = f"the norm of the gradient is {norm.current()}"
            raise _diverged(text, items, runner.epoch, batch_idx)


def _diverged(what: str, items: Sequence[str], epoch: int, step: int) -> DivergedError:
    kept = f"is that of epoch {epoch}" if epoch else "is none yet"
    return DivergedError(
        f"{what} in epoch {epoch + 1}, step {step + 1}, on the items {', '.join(items)}; look at "
        "what they hold, or lower train.lr. Nothing of this epoch was written: the last checkpoint "
        f"{kept}"
    )


class Schedule(ParamSchedulerHook):
    """Counts updates of the weights, each of which may take several steps."""

    def after_train_iter(self, runner: Any, *args: Any, **kwargs: Any) -> None:
        """Move the learning rate on after an update."""
        if runner.optim_wrapper.should_update():
            super().after_train_iter(runner, *args, **kwargs)


class Average(EMAHook):
    """Keeps the exponential moving average of the weights, which is validated and selected."""

    def __init__(self, decay: float) -> None:
        super().__init__(strict_load=True, momentum=1 - decay)

    def after_train_iter(self, runner: Any, *args: Any, **kwargs: Any) -> None:
        """Take the weights in after an update."""
        if runner.optim_wrapper.should_update():
            super().after_train_iter(runner, *args, **kwargs)

    def weights(self) -> dict[str, torch.Tensor]:
        """Return the averaged weights."""
        return self.ema_model.module.state_dict()


class EpochEnd(Hook):
    """After validation: selects, stops early, and writes the one checkpoint of the epoch.

    All processes decide alike; the first one writes.
    """

    priority = "LOWEST"

    def __init__(
        self,
        folder: Path,
        selection: Selection,
        model: Recognizer,
        on_epoch: OnEpoch,
        average: Average | None = None,
    ) -> None:
        self.folder = folder / "checkpoints"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.selection, self.on_epoch = selection, on_epoch
        self.weights = average.weights if average else model.state_dict

    def before_train(self, runner: Any) -> None:
        """Do not train on where an earlier process had already stopped early."""
        runner.train_loop.stop_training = self.selection.exhausted

    def after_val_epoch(self, runner: Any, metrics: dict[str, float] | None = None) -> None:
        """Write the best weights first and the epoch last: either alone is consistent."""
        row = self._row(runner, metrics or {})
        improved = self.selection.see(row)
        runner.train_loop.stop_training = self.selection.exhausted
        if not processes.leading():
            return
        if improved:
            best = {"state_dict": self.weights(), "meta": {"epoch": runner.epoch}}
            save(self.folder / "best.pth", best)
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
            "train_loss": processes.average(float(losses.mean())),
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
        """Take one batch in.

        Raises:
            DivergedError: Its loss is no finite number.
        """
        output = data_samples[0]
        target = Target(*(value.to(output.logits_NK.device) for value in data_batch["target"]))
        loss, labels = self.loss(output, target), target.prob_NK.argmax(-1)
        if not math.isfinite(loss):
            raise DivergedError(
                f"the validation loss is {float(loss)} on the items "
                f"{', '.join(data_batch['ids'])}; look at what they hold, or lower train.lr. "
                "Nothing of this epoch was written"
            )
        right = (output.logits_NK.argmax(-1) == labels).sum()
        self.results.append((float(loss) * len(labels), int(right), len(labels)))

    def evaluate(self, size: int) -> dict[str, float]:
        """Return means over the clips of all processes; mmengine's would leave batches out."""
        results = processes.dealt_back(self.results)
        self.results.clear()
        return self.compute_metrics(results)

    def compute_metrics(self, results: list[tuple[float, int, int]]) -> dict[str, float]:
        """Return means over clips."""
        loss, right, count = (sum(column) for column in zip(*results, strict=True))
        return {"loss": loss / count, "accuracy": right / count}
