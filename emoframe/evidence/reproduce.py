"""Training a run again from its record, to see whether its numbers are its own.

Decided here: what is compared are the weights of every stage, the history, and what is said of the
items, never an accuracy, which is the same for many networks. Test is not opened: of its items the
probabilities are compared, where the run wrote them. A second training on other data would
reproduce nothing, so that this is refused; all else that changed (versions, weak labels, device) is
told as a possible reason and is no obstacle.
"""

from __future__ import annotations

import json
import math
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from emoframe.core.errors import RunError
from emoframe.core.files import write_text
from emoframe.core.schema import plain
from emoframe.evidence.evaluate import saved_predictions
from emoframe.learning.data import Data, prepare
from emoframe.learning.judge import predict_clips
from emoframe.learning.recipe import train_recipe
from emoframe.learning.run import BEST, CARD, Run, load_run
from emoframe.learning.runner import OnEpoch

Verdict = Literal["the same", "the same within tolerance", "different", "not compared"]
SAME: Verdict = "the same"
NEAR: Verdict = "the same within tolerance"
OTHER: Verdict = "different"
NOT: Verdict = "not compared"
RTOL, ATOL = 1e-4, 1e-6
"""How far numbers may be apart that differ by the order of additions alone."""
TIMES = ("ms_per_step",)
"""What a history tells of the machine and not of the training."""
FOLDER, RESULT = "reproduced", "reproduced.json"
UNKNOWN = "not recorded"


@dataclass(frozen=True)
class Check:
    """One thing that was compared.

    Attributes:
        what: As in `weights of stage body`.
        verdict: How far it is the same.
        detail: The first difference and the largest, or why nothing was compared.
    """

    what: str
    verdict: Verdict
    detail: str = ""


@dataclass(frozen=True)
class Change:
    """Something around the training that is not as it was, and may be why a number is not.

    Attributes:
        what: As in `torch`.
        was: When the run was trained.
        now: In the second training.
    """

    what: str
    was: str
    now: str


@dataclass(frozen=True)
class Reproduced:
    """What became of a second training.

    Attributes:
        folder: Its run folder.
        checks: What was compared, in the order in which one follows from another.
        environment: What has changed around it.
    """

    folder: Path
    checks: Sequence[Check]
    environment: Sequence[Change]

    @property
    def verdict(self) -> Verdict:
        """The worst of what was compared."""
        found = {one.verdict for one in self.checks}
        return next(verdict for verdict in (OTHER, NEAR, SAME) if verdict in found)

    @property
    def first(self) -> Check | None:
        """The first that is not the same to the bit; None where all is."""
        return next((one for one in self.checks if one.verdict in (OTHER, NEAR)), None)


def reproduce(
    run: Run | str | Path,
    into: Path | None = None,
    on_epoch: OnEpoch = lambda row: None,
) -> Reproduced:
    """Train a run again, all its stages included, and compare.

    Args:
        run: The run or its folder.
        into: Folder of the second training; `reproduced` in the run folder if not given. One that
            was interrupted goes on.
        on_epoch: Called with one row per finished epoch; `stage` in it names the stage.

    Returns:
        What was compared, which is also written to `reproduced.json` in the folder of the second
        training.

    Raises:
        EmoframeError: It cannot be done: the run is not finished, its data changed or are gone, it
            is a stage that cannot be trained alone, or there is a second training already.
    """
    run = run if isinstance(run, Run) else load_run(run)
    folder = into or run.folder / FOLDER
    data = _check(run, folder)
    again = train_recipe(run.asked, folder, on_epoch)
    checks = [*_of_stages(run, again), *_of_run(run, again, data)]
    found = Reproduced(folder, checks, environment(run, again))
    told = {"verdict": found.verdict, **plain(found), "folder": folder.name}
    write_text(folder / RESULT, json.dumps(told, indent=1))
    return found


def environment(run: Run, again: Run) -> list[Change]:
    """Return what has changed around two trainings of one config, by their records."""
    was, now = run.card, again.card
    old, new = was.get("libraries", {}), now["libraries"]
    pairs = [(name, old.get(name), new.get(name)) for name in sorted({*old, *new})]
    device = "cuda" if torch.cuda.is_available() else "cpu"
    pairs += [
        ("python", was.get("python"), platform.python_version()),
        ("plugins", _listed(was.get("plugins")), _listed(now["plugins"])),
        ("data", was["data_hash"], now["data_hash"]),
        ("weak labels", _hash_of(was), _hash_of(now)),
        ("rationales", _listed(was.get("rationales")), _listed(now["rationales"])),
        ("device", was.get("device"), now.get("device", device)),
    ]
    return [
        Change(what, UNKNOWN if one is None else one, UNKNOWN if two is None else two)
        for what, one, two in pairs
        if one != two
    ]


def compare_numbers(what: str, was: Mapping[str, Any], now: Mapping[str, Any]) -> Check:
    """Compare named arrays, in their order.

    Args:
        what: What they are.
        was: By name; anything that numpy makes an array of.
        now: Those of the second training.
    """
    if lacking := [name for name in dict.fromkeys([*was, *now]) if (name in was) != (name in now)]:
        side = "the first" if lacking[0] in was else "the second"
        return Check(what, OTHER, f"{lacking[0]} is in {side} training only")
    first, largest, near = "", 0.0, True
    for name in was:
        old, new = np.asarray(was[name]), np.asarray(now[name])
        if old.shape != new.shape:
            return Check(what, OTHER, f"{name} is of shape {old.shape} and now {new.shape}")
        if np.array_equal(old, new, equal_nan=old.dtype.kind == "f"):
            continue
        gap = np.abs(old.astype(float) - new.astype(float))
        if not first:
            place = tuple(np.argwhere(~np.isclose(old, new, 0, 0, equal_nan=True))[0].tolist())
            where = f"{name}{list(place) if place else ''}"
            first = f"{where} was {old[place]:.9g}, now {new[place]:.9g}"
        largest = max(largest, float(np.nan_to_num(gap, nan=math.inf).max()))
        near &= bool(np.allclose(old, new, RTOL, ATOL, equal_nan=True))
    if not first:
        return Check(what, SAME)
    return Check(what, NEAR if near else OTHER, f"first {first}; at most {largest:.2g} apart")


def _check(run: Run, folder: Path) -> Data:
    """Refuse what cannot be reproduced; return the data of the last stage."""
    if not run.finished or not (run.folder / BEST).is_file():
        raise RunError(
            f"{run.folder} has not finished training, so that there is nothing to reproduce; train "
            "it on with `emoframe train`"
        )
    if run.card.get("stage") and not run.asked.stages and run.card.get("init"):
        raise RunError(
            f"{run.folder} is the stage {run.card['stage']!r}, which builds on others; reproduce "
            "the run that it is a stage of"
        )
    if folder.resolve() == run.folder.resolve():
        raise RunError(f"--into {folder} is the run itself; a second training needs its own folder")
    if (folder / CARD).is_file() and load_run(folder).finished:
        raise RunError(
            f"{folder} holds a finished training, which shows nothing of today; delete it, or "
            "choose another folder with --into"
        )
    data = prepare(run.experiment)
    if data.hash != run.card["data_hash"]:
        raise RunError(
            f"{run.folder} cannot be reproduced: its data set is not what it was (hash "
            f"{run.card['data_hash'][:12]}, now {data.hash[:12]}); bring back the items, labels, "
            "splits and rationales of then"
        )
    return data


def _of_stages(run: Run, again: Run) -> list[Check]:
    """Compare the stages before the last."""
    found: list[Check] = []
    places = [place / "stages" for place in (run.folder, *run.folder.resolve().parents[:3])]
    for name in list(run.asked.stages)[:-1]:
        what = f"weights of stage {name}"
        now = _folders([again.folder / "stages"], name)[0]
        was = _folders(places, name)
        named = {one["run"] for one in run.card.get("init", {}).values()}
        # a stage that is the same to the bit also has the same name
        sure = [folder for folder in was if folder.name in named | {now.name}]
        if not sure and len(was) != 1:
            why = "its folder is not there" if not was else "several are there, any may be it"
            found.append(Check(what, NOT, why))
            continue
        one = load_run((sure or was)[0])
        found.append(compare_numbers(what, _weights(one), _weights(load_run(now))))
    return found


def _folders(places: Sequence[Path], name: str) -> list[Path]:
    """Return the folders of a stage that has weights, see `emoframe.learning.recipe`."""
    pattern = f"{name}-{'[0-9a-f]' * 16}/{BEST}"
    return [file.parents[1] for place in places for file in sorted(place.glob(pattern))]


def _of_run(run: Run, again: Run, data: Data) -> list[Check]:
    """Compare the last stage, and what it says of items."""
    found = [
        compare_numbers("weights", _weights(run), _weights(again)),
        compare_numbers("history", _history(run), _history(again)),
    ]
    for split in ("val", "held", "test"):
        clips = getattr(data, split)
        if not len(clips):
            continue
        what, saved = f"probabilities on {split}", _saved(run, split)
        if split == "test" and saved is None:
            found.append(Check(what, NOT, "the run was not scored on test"))
            continue
        was = predict_clips(run, clips) if saved is None else saved
        now = predict_clips(again, clips)
        found.append(
            compare_numbers(
                what,
                {one.id: one.probability for one in was},
                {one.id: one.probability for one in now},
            )
        )
    return found


def _saved(run: Run, split: str) -> list[Any] | None:
    """Return the predictions that were written with the present weights; None for none."""
    file = run.folder / f"predictions-{split}.csv"
    if not file.is_file() or file.stat().st_mtime < (run.folder / BEST).stat().st_mtime:
        return None
    return saved_predictions(run, split)


def _weights(run: Run) -> dict[str, Any]:
    # in double precision no number changes, and numpy knows no bfloat16
    return {name: tensor.cpu().double().numpy() for name, tensor in run.weights().items()}


def _history(run: Run) -> dict[str, float]:
    return {
        f"{key} of epoch {row['epoch']:g}": value
        for row in run.history()
        for key, value in row.items()
        if key not in TIMES
    }


def _listed(told: Any) -> str | None:
    return None if told is None else json.dumps(told, sort_keys=True)


def _hash_of(card: Mapping[str, Any]) -> str:
    weak = card.get("weak")
    return weak["hash"] if weak else "none"
