"""How training goes on in stages, and what weak labels teach: sections of a config.

Frozen dataclasses, which are the schema, see `emoframe.learning.experiment`; what follows from them
is in `emoframe.learning.recipe` and `emoframe.learning.weak`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le, Lt

from emoframe.core.errors import Problem, suggest
from emoframe.core.schema import Part, Some, is_mapping

Mode = Literal["inductive", "transductive"]
LABELS = "labels"
"""What `weak.source` calls the label store."""
NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")
"""What a stage may be called: it names a folder."""


@dataclass(frozen=True)
class Weak:
    """What weak labels teach: which are used, and how much each of them counts.

    Gold wins where both exist, and no weak label is ever put on an item of validation.

    Attributes:
        source: `labels`, the label store of the section `weak_labels`; or an earlier stage or a run
            folder, whose predictions then are the weak labels (self-training, W2S-37).
        mode: `inductive` puts weak labels on training items that have no gold label;
            `transductive` also on the items that the result is judged on, as the paper does
            (W2S-35). It is stamped on every number.
        weight: What each counts against a gold label, which counts 1 (the paper's is 1).
        weighting: What the weight is multiplied with: `unit` nothing, `confidence` the confidence p
            in the class that is named, `margin` 2 p - 1.
        least_confidence: Those with less confidence are left out.
        per_class: So many of each class are kept, the most confident ones; null keeps all.
        shuffle: Deal them out to the items at random: a control, which keeps how often each class
            is named and nothing else.
    """

    source: str = LABELS
    mode: Mode = "inductive"
    weight: Annotated[float, Gt(0)] = 1.0
    weighting: Literal["unit", "confidence", "margin"] = "unit"
    least_confidence: Annotated[float, Ge(0), Lt(1)] = 0.0
    per_class: Annotated[int, Gt(0)] | None = None
    shuffle: bool = False


@dataclass(frozen=True)
class Train:
    """How the weights are found. Epochs are selected by validation loss, never by test.

    Attributes:
        epochs: Most epochs to train.
        batch_size: Clips per step, in all processes together.
        accumulate: Steps whose gradients are summed up before one update of the weights, each
            counting alike: for batches that find no room. The end of an epoch is always one.
        lr: Peak learning rate of AdamW, reached after the warm-up, then cosine to zero.
        weight_decay: Decay of AdamW.
        warmup: Share of all updates in which the learning rate rises.
        grad_clip: Largest norm of the gradient.
        ema: Decay of an exponential moving average of the weights, which then is what validation
            judges and what is kept: 0.99 remembers about 100 updates. 0 takes the weights as they
            are.
        patience: Epochs without a lower validation loss after which training stops.
        val_fraction: Share of the training subjects (or clips) that validation takes: one half,
            third, fourth, ...
        precision: Of the arithmetic; anything but float32 is mixed and needs a GPU.
        workers: Processes that load data.
        shuffle_labels: Train on labels that were given to items at random: a control, which must
            come out at chance.
    """

    epochs: Annotated[int, Gt(0)] = 30
    batch_size: Annotated[int, Gt(0)] = 16
    accumulate: Annotated[int, Gt(0)] = 1
    lr: Annotated[float, Gt(0)] = 1e-4
    weight_decay: Annotated[float, Ge(0)] = 0.05
    warmup: Annotated[float, Ge(0), Lt(1)] = 0.05
    grad_clip: Annotated[float, Gt(0)] = 1.0
    ema: Annotated[float, Ge(0), Lt(1)] = 0.0
    patience: Annotated[int, Gt(0)] = 10
    val_fraction: Annotated[float, Gt(0), Le(0.5)] = 0.2
    precision: Literal["float32", "float16", "bfloat16"] = "float32"
    workers: Annotated[int, Ge(0)] = 0
    shuffle_labels: bool = False


@dataclass(frozen=True)
class Stage:
    """One training of several, and what it changes of the experiment.

    Attributes:
        branches: The branches that it trains, alone; null takes all of them.
        init: Where the weights of a branch come from, by its name: an earlier stage, or a run
            folder. Its epoch with the lowest validation loss is taken.
        weak: What weak labels teach in it; null for gold labels alone.
        loss: Replaces the loss of the model.
        auxiliary: Replaces its second loss.
        train: What differs from the section `train`.
    """

    branches: list[str] | None = None
    init: dict[str, str] = field(default_factory=lambda: {})
    weak: Weak | None = None
    loss: Annotated[dict[str, Any], Part("loss")] | None = None
    auxiliary: Annotated[dict[str, Any], Part("loss")] | None = None
    train: Annotated[dict[str, Any], Some(Train)] = field(default_factory=lambda: {})


def relations(data: Mapping[str, Any]) -> list[Problem]:
    """Find stages that do not fit the model or one another, in unchecked data."""
    stages, model = data.get("stages"), data.get("model")
    branches = model.get("branches") if is_mapping(model) else None
    known = [str(name) for name in branches] if is_mapping(branches) else ["keypoints"]
    found = [*_source("weak", data.get("weak"), [], data), *_lone("model.loss", model, "loss")]
    if not is_mapping(stages):
        return found
    if stages and data.get("weak"):
        found.append(Problem("weak", "belongs to a stage where there are stages; move it there"))
    before: dict[str, list[str]] = {}
    for name, stage in stages.items():
        path = f"stages.{name}"
        if not NAME.fullmatch(str(name)):
            text = "must be small letters, digits, - and _, since it names a folder"
            found.append(Problem(path, text))
        if is_mapping(stage):
            found += _lone(f"{path}.loss", stage, "loss")
            found += _stage(path, stage, known, before)
            found += _source(f"{path}.weak", stage.get("weak"), list(before), data)
            before[str(name)] = _names(stage.get("branches"), known)
    return found


def _stage(
    path: str, stage: Mapping[str, Any], known: list[str], before: Mapping[str, list[str]]
) -> list[Problem]:
    """Find branches that are none, or that no earlier stage has trained."""
    own = _names(stage.get("branches"), known)
    found = [
        Problem(f"{path}.branches", f"there is no branch {b!r}{suggest(b, known)}{_has(known)}")
        for b in own
        if b not in known
    ]
    init = stage.get("init")
    for branch, source in init.items() if is_mapping(init) else ():
        where = f"{path}.init.{branch}"
        if branch not in own:
            text = f"is no branch of this stage{suggest(str(branch), own)}{_has(own)}"
            found.append(Problem(where, text))
        elif "/" not in str(source) and source not in before:
            text = f"is no earlier stage{suggest(str(source), list(before))}{_has(list(before))}"
            found.append(Problem(where, f"{source!r} {text}; a run folder is written with a /"))
        elif source in before and branch not in before[str(source)]:
            found.append(Problem(where, f"stage {source!r} does not train the branch {branch!r}"))
    return found


def _source(path: str, weak: Any, before: list[str], data: Mapping[str, Any]) -> list[Problem]:
    """Find weak labels that come from nowhere."""
    if not is_mapping(weak):
        return []
    source = weak.get("source", LABELS)
    if source == LABELS and not is_mapping(data.get("weak_labels")):
        return [Problem(path, "needs a section `weak_labels`, which says whose labels they are")]
    if source != LABELS and "/" not in str(source) and source not in before:
        known = [LABELS, *before]
        text = f"{source!r} is neither `labels` nor an earlier stage{suggest(str(source), known)}"
        return [Problem(f"{path}.source", f"{text}; a run folder is written with a /")]
    return []


def _lone(path: str, section: Any, key: str) -> list[Problem]:
    """Find a loss that teaches the classifier nothing, unchecked."""
    loss = section.get(key) if is_mapping(section) else None
    if is_mapping(loss) and loss.get("type") == "contrastive":
        text = "'contrastive' says nothing of classes; take it as `model.auxiliary` beside another"
        return [Problem(path, text)]
    return []


def _names(branches: Any, known: list[str]) -> list[str]:
    return [str(name) for name in branches] if isinstance(branches, list) else known


def _has(names: list[str]) -> str:
    return f" (there are {', '.join(names)})" if names else " (there is none)"
