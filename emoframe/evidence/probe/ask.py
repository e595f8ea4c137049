"""Asks a labeler several prompts about the training items, for a probe.

Decided here: training items alone are asked about, each prompt once, since what is claimed can be
compared with gold there and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from emoframe.evidence.labels.labelled import TrainingItems
from emoframe.labelling import Prompt
from emoframe.learning.asking import Job, Which
from emoframe.weak_labels.asking.ask import Summary
from emoframe.weak_labels.asking.inquiry import Listener, OnRow
from emoframe.weak_labels.asking.limits import How
from emoframe.weak_labels.asking.plan import Plan
from emoframe.weak_labels.asking.price import Table


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
        self._job = Job(items.experiment, Which("train", limits.clips, samples=1))

    def plan(self, prompts: Mapping[str, Prompt]) -> dict[str, Plan]:
        """Say what asking would cost at most, by the names of the prompts; nothing is sent."""
        return {name: self._job.plan(one, self.limits.prices) for name, one in prompts.items()}

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
        settings, limits = self.items.settings, self.limits
        how = How(settings.concurrency, settings.attempts, limits.budget, limits.prices)
        listener = Listener(on_start, on_row, on_halt)
        return self._job.ask(prompts, how, listener, i_may_upload=limits.i_may_upload)
