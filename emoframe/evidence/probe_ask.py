"""Asks a labeler several prompts about the training items, for a probe.

Decided here: everything is as in `emoframe.label`: nothing leaves the machine that may not, what is
answered is not asked again, a budget counts what the store has spent. Training items alone are
asked about, since what is claimed can be compared with gold there and nowhere else.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from emoframe.evidence.labelled import TrainingItems
from emoframe.labelling import Prompt
from emoframe.learning.shown import Shower
from emoframe.learning.sources import devices, pose_key
from emoframe.weak_labels.asking.alone import alone
from emoframe.weak_labels.asking.ask import Asked, OnRow, Summary, ask
from emoframe.weak_labels.asking.consent import check_consent, terms_of
from emoframe.weak_labels.asking.labelers import built
from emoframe.weak_labels.asking.limits import How
from emoframe.weak_labels.asking.plan import Plan
from emoframe.weak_labels.asking.plan import plan as plan_of
from emoframe.weak_labels.asking.price import Table
from emoframe.weak_labels.store import LabelerRecord, LabelStore


@dataclass(frozen=True)
class Limits:
    """How much is asked.

    Attributes:
        clips: Most clips, the first ones; None for all.
        budget: Most US dollars that the store may have spent in the end; None for no limit.
        prices: Price table; None takes the shipped one.
        i_may_upload: Name of the data set, where the user accepts its terms.
    """

    clips: int | None = None
    budget: float | None = None
    prices: Table | None = None
    i_may_upload: str = ""


class Prober:
    """Puts prompts to the labeler of an experiment, one after the other.

    Args:
        items: Those of the experiment, made to ask about.
        limits: How much is asked.

    Raises:
        EmoframeError: The items cannot be read.
    """

    def __init__(self, items: TrainingItems, limits: Limits) -> None:
        self.items, self.limits = items, limits
        experiment = items.experiment
        self._shower = Shower(experiment, items.dataset)
        self._shown = self._shower.shown(("train",), limits.clips)
        self._reads = pose_key(experiment)

    def plan(self, prompts: Mapping[str, Prompt]) -> dict[str, Plan]:
        """Say what asking would cost at most, by the names of the prompts; nothing is sent."""
        path = self.items.settings.store
        store = LabelStore(path, write=False) if path.is_file() else None
        found: dict[str, Plan] = {}
        for name, prompt in prompts.items():
            labeler, record = self._labeler()
            left = self._left(prompt, labeler, store)
            found[name] = plan_of(left, labeler, record, prompt, self.limits.prices)
        return found

    def ask(
        self,
        prompts: Sequence[Prompt],
        on_start: Callable[[int], None] = lambda total: None,
        on_row: OnRow = lambda asked, answer: None,
        on_halt: Callable[[str], None] = lambda why: None,
    ) -> Summary:
        """Ask what was not answered yet, up to the budget.

        Args:
            prompts: What to ask.
            on_start: Told how many questions are left.
            on_row: Told of each question as it ends.
            on_halt: Told why nothing more is sent.

        Raises:
            EmoframeError: The terms of the data set were not accepted, or the store cannot be used.
        """
        settings, name = self.items.settings, self.items.name
        how = How(settings.concurrency, settings.attempts, self.limits.budget, self.limits.prices)
        done = [Summary()]
        with LabelStore(settings.store) as store:
            if self.items.labeler.uploads:
                terms = terms_of(self.items.dataset)
                check_consent(store, name, terms, self.limits.i_may_upload)
            store.orphaned()
            store.add_items(name, self._shown.items)
            labeler = self._labeler()[0]
            on_start(sum(len(self._left(one, labeler, store)) for one in prompts))
            for prompt in prompts:
                labeler, record = self._labeler()  # asking closes it
                with alone(settings.store, prompt.hash, record.key):
                    left = self._left(prompt, labeler, store)
                    done.append(ask(left, labeler, record, prompt, store, how, on_row, on_halt))
                if done[-1].stopped:
                    break
        return functools.reduce(operator.add, done)

    def _labeler(self) -> tuple[Any, LabelerRecord]:
        reads = self._reads if self.items.reads_keypoints else ""
        return built(self.items.settings.vlm_labeler, devices()[0], pose_key=reads)

    def _left(self, prompt: Prompt, labeler: Any, store: LabelStore | None) -> list[Asked]:
        """Return the first question about each clip that is not answered or under way."""
        found = [
            self._shower.asked(key, ref, labeler, prompt.show, (0,))
            for key, ref in self._shown.clips.items()
        ]
        if store is None:
            return found
        keys = (prompt.hash, self.items.labeler.key)
        done = store.answered(*keys) | {call.key for call in store.calls("open")}
        return [one for one in found if (one.clip, *keys, 0) not in done]
