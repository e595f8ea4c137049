"""The Python API of weak labelling: asking about the clips of an experiment, and its price."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from emoframe.api import load
from emoframe.learning.asking import Job, Which
from emoframe.learning.experiment import Experiment
from emoframe.weak_labels.asking.ask import Summary
from emoframe.weak_labels.asking.consent import told
from emoframe.weak_labels.asking.inquiry import Listener, OnRow
from emoframe.weak_labels.asking.limits import How
from emoframe.weak_labels.asking.plan import Plan
from emoframe.weak_labels.asking.price import prices as price_table
from emoframe.weak_labels.rows import Call
from emoframe.weak_labels.store import LabelStore

__all__ = ["Labelled", "Which", "label", "plan"]


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
    job = Job(load(source, overrides), which or Which())
    prompt, settings = job.prompt(), job.settings
    job.check(prompt)
    how = How(settings.concurrency, settings.attempts, budget, price_table(prices))
    listener = Listener(on_start, on_row, on_halt)
    summary = job.ask([prompt], how, listener, batch=batch, i_may_upload=i_may_upload)
    store = LabelStore(settings.store, write=False)
    statuses = dict(job.statuses(prompt, store))
    return Labelled(summary, statuses, store.spent(), store.unknown(), job.lost)


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
    job = Job(experiment, which or Which(), asks=False)
    found = job.plan(job.prompt(), price_table(prices))
    if not job.record.uploads:
        return found
    warnings = [f"terms of {job.name}: {told(job.terms)}"]
    if (allowed := experiment.privacy.upload) != "allowed":
        warnings.append(f"privacy.upload is {allowed!r}: as it is, nothing is sent")
    return replace(found, warnings=(*warnings, *found.warnings))
