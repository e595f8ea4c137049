"""The Python API of weak labelling: who is asked about the clips of an experiment, and the price.

Decided here: labels of a data set reach a simulated labeler alone, and those of its training items
only. All else that asks sees a clip, its keypoints and a prompt that was made before any of them.
Items that show the same video are asked about once.
"""

from __future__ import annotations

import functools
import logging
import operator
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from emoframe.api import SPLITS, load
from emoframe.core.errors import ConfigError, DataError, Problem, suggest
from emoframe.core.registry import create
from emoframe.interfaces import Dataset
from emoframe.labelling import Prompt, Status
from emoframe.learning.experiment import Experiment
from emoframe.learning.shown import Shower
from emoframe.learning.sources import devices, pose_key
from emoframe.weak_labels.asking import batch as batches
from emoframe.weak_labels.asking.alone import alone
from emoframe.weak_labels.asking.ask import Asked, OnRow, Summary, ask
from emoframe.weak_labels.asking.consent import check_consent, check_private, terms_of, told
from emoframe.weak_labels.asking.labelers import built, is_simulated
from emoframe.weak_labels.asking.limits import How
from emoframe.weak_labels.asking.plan import Plan
from emoframe.weak_labels.asking.plan import left as left_of
from emoframe.weak_labels.asking.plan import plan as plan_of
from emoframe.weak_labels.asking.price import prices as price_table
from emoframe.weak_labels.prompt import build_prompt
from emoframe.weak_labels.rows import FINAL, Call, LabelerRecord, QuestionKey
from emoframe.weak_labels.settings import WeakLabels
from emoframe.weak_labels.store import LabelStore

log = logging.getLogger(__name__)

__all__ = ["Labelled", "Which", "label", "plan"]

RULES = "rules"
"""The labeler that describes and does not judge."""


@dataclass(frozen=True)
class Which:
    """Which questions of an experiment are asked.

    Attributes:
        split: Of which items.
        limit: Most clips, the first ones; None for all.
        samples: Answers to each question; None for what the config says.
        retry: Statuses that ended a question, and are asked again all the same.
    """

    split: Literal["train", "test", "all"] = "all"
    limit: int | None = None
    samples: int | None = None
    retry: tuple[Status, ...] = ()


@dataclass(frozen=True)
class Labelled:
    """What became of the questions of an experiment.

    Attributes:
        summary: What this run did.
        statuses: Every question that was wanted by how it ended, now or before; `waiting` for those
            in a batch, `open` for those that were not asked.
        spent: US dollars that the store has spent, calls in flight and unknown ones included.
        unknown: Calls that may have been paid without an answer, of this run and before.
        lost: Why an item could not even be named by its clip, by its id.
    """

    summary: Summary
    statuses: Mapping[str, int]
    spent: float
    unknown: Sequence[Call]
    lost: Mapping[str, str]

    @property
    def whole(self) -> bool:
        """Whether every question is answered, or waits at a service."""
        return not self.lost and set(self.statuses) <= {"ok", "waiting"}


def label(
    source: str | Path | Experiment,
    overrides: Sequence[str] = (),
    which: Which | None = None,
    *,
    budget: float | None = None,
    prices: Path | None = None,
    batch: bool = False,
    i_may_upload: str = "",
    on_start: Callable[[int], None] = lambda total: None,
    on_row: OnRow = lambda asked, answer: None,
    on_halt: Callable[[str], None] = lambda why: None,
) -> Labelled:
    """Ask about every clip of an experiment; what is answered is not asked again.

    Args:
        source: The experiment; its `weak_labels` says whom and what.
        overrides: `key=value` items.
        which: Which questions; None takes all.
        budget: Most US dollars that the store may have spent in the end; None for no limit.
        prices: A price table of one's own.
        batch: Hand the questions in as a batch, and collect those that are done.
        i_may_upload: Name of the data set, where the user accepts its terms.
        on_start: Told how many questions are left, before the first.
        on_row: Told of each question as it ends.
        on_halt: Told why nothing more is sent.

    Raises:
        EmoframeError: The config, the data, the labeler or the store cannot be used as asked.
    """
    job = _prepare(load(source, overrides), which or Which())
    how = How(job.settings.concurrency, job.settings.attempts, budget, price_table(prices))
    if batch:
        batches.check_batches(job.labeler)
    keys = (job.prompt.hash, job.record.key)
    with alone(job.settings.store, *keys), LabelStore(job.settings.store) as store:
        if job.record.uploads:
            check_consent(store, job.name, job.terms, i_may_upload)
        store.orphaned()
        _tell_moved(job, store)
        store.add_items(job.name, job.items)
        done = [_collected(job, store, how, on_row)] if batch else []
        left = job.left(store)
        on_start(sum(len(one.samples) for one in left))
        work = (job.labeler, job.record, job.prompt, store, how, on_row)
        done.append(batches.submit(left, *work) if batch else ask(left, *work, on_halt))
        return _labelled(job, store, done)


def plan(
    source: str | Path | Experiment,
    overrides: Sequence[str] = (),
    which: Which | None = None,
    *,
    prices: Path | None = None,
) -> Plan:
    """Say what `label` would ask and the most that it can cost; nothing is sent or written.

    Args:
        source: The experiment.
        overrides: `key=value` items.
        which: Which questions; None takes all.
        prices: A price table of one's own.

    Raises:
        EmoframeError: The config, the data or the labeler cannot be used as asked.
    """
    experiment = load(source, overrides)
    job = _prepare(experiment, which or Which(), asks=False)
    table = price_table(prices)
    path = job.settings.store
    store = LabelStore(path, write=False) if path.is_file() else None
    found = plan_of(job.left(store), job.labeler, job.record, job.prompt, table)
    lost = (f"{item}: {why}" for item, why in job.lost.items())
    terms = [f"terms of {job.name}: {told(job.terms)}"] if job.record.uploads else []
    if terms and experiment.privacy.upload != "allowed":
        terms.append(f"privacy.upload is {experiment.privacy.upload!r}: as it is, nothing is sent")
    found = replace(found, warnings=(*terms, *found.warnings, *lost))
    if store is None:
        return found
    counted = _statuses(job, store)
    return replace(
        found,
        answered=sum(count for status, count in counted.items() if status in FINAL),
        waiting=counted["waiting"],
        spent=store.spent(),
        unknown=len(store.calls("unknown")),
    )


@dataclass(frozen=True)
class _Job:
    """Everything that asking needs."""

    settings: WeakLabels
    which: Which
    name: str
    terms: Mapping[str, Any]
    labeler: Any
    record: LabelerRecord
    prompt: Prompt
    clips: Mapping[str, Asked]
    items: Mapping[str, str]
    lost: Mapping[str, str] = field(default_factory=dict[str, str])

    def wanted(self) -> Iterator[QuestionKey]:
        """Yield every question, answered or not."""
        for clip, asked in self.clips.items():
            for sample in asked.samples:
                yield QuestionKey(clip, self.prompt.hash, self.record.key, sample)

    def left(self, store: LabelStore | None) -> list[Asked]:
        """Return what is to be asked."""
        asked = self.clips.values()
        if store is None:
            return list(asked)
        return left_of(asked, store, self.record, self.prompt, self.which.retry)


def _prepare(experiment: Experiment, which: Which, *, asks: bool = True) -> _Job:
    """Build whom to ask, and say about what; a labeler that may not upload is refused at once."""
    again = FINAL - {"ok"}
    if strange := sorted(set(which.retry) - again):
        raise DataError(
            f"--retry {strange[0]}: must be among {', '.join(sorted(again))}"
            f"{suggest(strange[0], sorted(again))}; quota and error are asked again anyway"
        )
    settings = experiment.weak_labels or WeakLabels()
    node, device, simulated = settings.vlm_labeler, devices()[0], is_simulated(settings.vlm_labeler)
    labeler, record = built(node, device)
    check_private(node["type"], asks and record.uploads, experiment.privacy.upload)
    dataset: Dataset = create("dataset", experiment.dataset)
    prompt = build_prompt(settings, dataset.classes)
    _check_sayable(settings, prompt)
    shower = Shower(experiment, dataset)
    found = shower.shown(SPLITS if which.split == "all" else (which.split,), which.limit)
    if simulated or labeler.reads_keypoints:  # the first one was told of neither
        gold = shower.gold() if simulated else None
        key = pose_key(experiment) if labeler.reads_keypoints else ""
        labeler, record = built(node, device, gold, key)
    samples = range(which.samples or settings.samples)
    clips = {
        key: shower.asked(key, ref, labeler, prompt.show, samples)
        for key, ref in found.clips.items()
    }
    terms = terms_of(dataset)
    return _Job(
        settings, which, shower.name, terms, labeler, record, prompt, clips, found.items, found.lost
    )


def _tell_moved(job: _Job, store: LabelStore) -> None:
    """Say which items stood for another clip before, as those of a table of the same name do."""
    before = store.items(job.name)
    moved = [item for item, clip in job.items.items() if before.get((job.name, item), clip) != clip]
    if moved:
        log.warning(
            "%s items of %r, such as %r, stood for other videos in %s before; from now on they "
            "stand for these. Where it is another data set, give it a name of its own "
            "(dataset.name) or a label store of its own",
            len(moved), job.name, moved[0], job.settings.store,
        )  # fmt: skip


def _check_sayable(settings: WeakLabels, prompt: Prompt) -> None:
    """See that the prompt asks for something that the labeler can say.

    Raises:
        ConfigError: It is `rules`, which names units alone, and none are asked for.
    """
    if settings.vlm_labeler["type"] == RULES and not prompt.codes:
        text = (
            f"{settings.prompt!r} asks for no units, since it has no step `observe` or there are "
            f"no codebooks, and vlm_labeler {RULES!r} says nothing else; take a prompt such as "
            "'cot' with a codebook, or a labeler that judges"
        )
        raise ConfigError([Problem("weak_labels.prompt", text)])


def _collected(job: _Job, store: LabelStore, how: How, on_row: OnRow) -> Summary:
    return batches.collect(job.clips, job.labeler, job.record, job.prompt, store, how, on_row)


def _statuses(job: _Job, store: LabelStore) -> Counter[str]:
    """Count every wanted question by how it ended."""
    answers = store.answers(None, job.prompt.hash, job.record.key)
    ended: dict[QuestionKey, str] = {one.key: one.status for one in answers}
    waiting = {call.key for call in store.calls("open")}
    return Counter("waiting" if key in waiting else ended.get(key, "open") for key in job.wanted())


def _labelled(job: _Job, store: LabelStore, done: Sequence[Summary]) -> Labelled:
    summary = functools.reduce(operator.add, done)
    counted, unknown = dict(_statuses(job, store)), store.calls("unknown")
    return Labelled(summary, counted, store.spent(), unknown, job.lost)
