"""Asking the labeler of an experiment about clips: one way for labels and for probes.

Decided here: labels of a data set reach a simulated labeler alone, and those of its training items
only. All else that asks sees a clip, its keypoints and a prompt that was made before any of them.
Items that show the same video are asked about once; so is a prompt that is named twice.
"""

from __future__ import annotations

import functools
import itertools
import logging
import operator
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from emoframe.core.errors import ConfigError, DataError, Problem, suggest
from emoframe.core.registry import create
from emoframe.interfaces import Dataset, Split
from emoframe.labelling import Prompt, Status
from emoframe.learning.experiment import Experiment
from emoframe.learning.shown import Shower, Shown
from emoframe.learning.sources import devices, pose_key
from emoframe.weak_labels.asking import batch as batches
from emoframe.weak_labels.asking.alone import alone
from emoframe.weak_labels.asking.ask import Summary, ask
from emoframe.weak_labels.asking.consent import check_consent, check_private, terms_of
from emoframe.weak_labels.asking.inquiry import Asked, Inquiry, Listener
from emoframe.weak_labels.asking.labelers import built, is_simulated
from emoframe.weak_labels.asking.limits import How
from emoframe.weak_labels.asking.plan import Plan
from emoframe.weak_labels.asking.plan import left as left_of
from emoframe.weak_labels.asking.plan import plan as plan_of
from emoframe.weak_labels.asking.price import Table
from emoframe.weak_labels.prompt import build_prompt
from emoframe.weak_labels.rows import FINAL, QuestionKey
from emoframe.weak_labels.settings import WeakLabels
from emoframe.weak_labels.shown.folder import clear_folders
from emoframe.weak_labels.store import LabelStore

log = logging.getLogger(__name__)

RULES = "rules"
"""The labeler that describes and does not judge."""
SPLITS: tuple[Split, ...] = ("train", "test")


@dataclass(frozen=True)
class Which:
    """Which questions of an experiment are asked.

    Attributes:
        split: Of which items.
        limit: Most clips, the first ones; None for all.
        samples: Answers to each question; None for what the config says.
        retry: Statuses that ended a question, and are asked again all the same.
        videos: Files to ask about in place of the data set's items; they need not be in it.
    """

    split: Literal["train", "test", "all"] = "all"
    limit: int | None = None
    samples: int | None = None
    retry: tuple[Status, ...] = ()
    videos: tuple[Path, ...] = ()


class Job:
    """Everything that asking needs but what is asked: who, about which clips, into which store.

    Args:
        experiment: The experiment; its `weak_labels` says whom.
        which: Which questions.
        asks: Whether anything will be asked. A labeler that may not upload is refused then, before
            anything is read.

    Attributes:
        settings: How a model is asked.
        name: What the label store calls the data set.
        record: What it calls the labeler.

    Raises:
        EmoframeError: The data set or the labeler cannot be made, or may not be asked.
    """

    def __init__(self, experiment: Experiment, which: Which, *, asks: bool = True) -> None:
        _check_retry(which.retry)
        self.which, self.settings = which, experiment.weak_labels or WeakLabels()
        node = self.settings.vlm_labeler
        self._labeler, self.record = built(node, devices()[0])
        check_private(node["type"], asks and self.record.uploads, experiment.privacy.upload)
        self._dataset: Dataset = create("dataset", experiment.dataset)
        self._shower = Shower(experiment, self._dataset, which.videos)
        self.name = self._shower.name
        self._pose_key = pose_key(experiment) if self._labeler.reads_keypoints else ""
        if self._pose_key:
            self._labeler, self.record = built(node, devices()[0], pose_key=self._pose_key)

    @property
    def lost(self) -> Mapping[str, str]:
        """Why an item could not even be named by its clip, by its id."""
        return self._shown.lost

    @functools.cached_property
    def terms(self) -> Mapping[str, Any]:
        """What may be done with the clips."""
        if not self.which.videos:
            return terms_of(self._dataset)
        return {"of": ", ".join(str(video.resolve()) for video in self.which.videos)}

    def prompt(self) -> Prompt:
        """Return the prompt of the experiment.

        Raises:
            ConfigError: It asks for nothing that the labeler can say.
            DataError: There is none, or it cannot be read.
        """
        prompt = build_prompt(self.settings, self._dataset.classes)
        _check_sayable(self.settings, prompt)
        return prompt

    def check(self, prompt: Prompt) -> None:
        """See that the labeler can be shown any of the clips that are left to ask about.

        Raises:
            DataError: It reads what none of them has.
        """
        left = (self._shown.clips[one.clip] for one in self._left(prompt, self._stored()))
        self._shower.check(left, self._labeler, prompt.show)

    def statuses(self, prompt: Prompt, store: LabelStore) -> Counter[str]:
        """Count every question that is wanted by how it ended, see `emoframe.label.Labelled`."""
        ended = store.statuses(prompt.hash, self.record.key)
        waiting = {call.key for call in store.calls("open")}
        wanted = (
            QuestionKey(clip, prompt.hash, self.record.key, sample)
            for clip, sample in itertools.product(self._shown.clips, self._samples)
        )
        return Counter("waiting" if key in waiting else ended.get(key, "open") for key in wanted)

    def plan(self, prompt: Prompt, prices: Table | None = None) -> Plan:
        """Say what asking would cost at most; nothing is sent or written.

        Args:
            prompt: What would be asked.
            prices: Price table; None takes the shipped one.
        """
        store = self._stored()
        left = self._left(prompt, store)
        found = plan_of(left, self._labeler, self.record, prompt, prices)
        lost = (f"{item}: {why}" for item, why in self.lost.items())
        found = replace(found, warnings=(*found.warnings, *lost))
        if store is None:
            return found
        counted = self.statuses(prompt, store)
        return replace(
            found,
            answered=sum(count for status, count in counted.items() if status in FINAL),
            waiting=counted["waiting"],
            spent=store.spent(),
            unknown=len(store.unknown()),
        )

    def ask(
        self,
        prompts: Sequence[Prompt],
        how: How,
        listener: Listener | None = None,
        *,
        batch: bool = False,
        i_may_upload: str = "",
    ) -> Summary:
        """Ask one prompt after the other what was not answered yet, up to the budget.

        Args:
            prompts: What to ask.
            how: Limits.
            listener: Who is told how it goes.
            batch: Hand the questions in as a batch, and collect those that are done.
            i_may_upload: Name of the data set, where the user accepts its terms.

        Raises:
            EmoframeError: The terms of the data set were not accepted, the labeler takes no
                batches, somebody else asks the same, or the store cannot be used.
        """
        told, done = listener or Listener(), [Summary()]
        unlike = list({one.hash: one for one in prompts}.values())
        if batch:
            batches.check_batches(self._labeler)
        with ExitStack() as stack:
            for prompt in unlike:
                stack.enter_context(alone(self.settings.store, prompt.hash, self.record.key))
            store = stack.enter_context(LabelStore(self.settings.store))
            self._begin(store, i_may_upload)
            for prompt in unlike if batch else ():
                inquiry = self._inquiry(prompt, store, how)
                done.append(batches.collect(self._clips(prompt), inquiry, told))
            left = {one.hash: self._left(one, store) for one in unlike}
            told.on_start(sum(len(one.samples) for asked in left.values() for one in asked))
            for prompt in unlike:
                put = batches.submit if batch else ask
                done.append(put(left[prompt.hash], self._inquiry(prompt, store, how), told))
                if done[-1].stopped:
                    break
        return functools.reduce(operator.add, done)

    def _begin(self, store: LabelStore, i_may_upload: str) -> None:
        """See that there is consent, clear up after the dead, and keep what the items stand for."""
        if self.record.uploads:
            check_consent(store, self.name, self.terms, i_may_upload)
        store.orphaned()
        clear_folders()
        _tell_moved(self.name, self._shown.items, store)
        store.add_items(self.name, self._shown.items)

    def _inquiry(self, prompt: Prompt, store: LabelStore, how: How) -> Inquiry:
        """Build the labeler anew, since asking closes it; the truth is for a simulated one."""
        node = self.settings.vlm_labeler
        gold = self._gold if is_simulated(node) else None
        labeler, record = built(node, devices()[0], gold, self._pose_key)
        return Inquiry(labeler, record, prompt, store, how)

    def _stored(self) -> LabelStore | None:
        path = self.settings.store
        return LabelStore(path, write=False) if path.is_file() else None

    def _left(self, prompt: Prompt, store: LabelStore | None) -> list[Asked]:
        """Return what is to be asked."""
        asked = list(self._clips(prompt).values())
        return left_of(asked, store, self.record, prompt, self.which.retry) if store else asked

    def _clips(self, prompt: Prompt) -> dict[str, Asked]:
        return {
            key: self._shower.asked(key, ref, self._labeler, prompt.show, self._samples)
            for key, ref in self._shown.clips.items()
        }

    @property
    def _samples(self) -> range:
        return range(self.which.samples or self.settings.samples)

    @functools.cached_property
    def _shown(self) -> Shown:
        splits = SPLITS if self.which.split == "all" else (self.which.split,)
        return self._shower.shown(splits, self.which.limit)

    @functools.cached_property
    def _gold(self) -> Mapping[str, int]:
        return self._shower.gold()


def _check_retry(retry: Collection[str]) -> None:
    """See that what is asked again had ended.

    Raises:
        DataError: One is no such status.
    """
    again = FINAL - {"ok"}
    if strange := sorted(set(retry) - again):
        raise DataError(
            f"--retry {strange[0]}: must be among {', '.join(sorted(again))}"
            f"{suggest(strange[0], sorted(again))}; quota and error are asked again anyway"
        )


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


def _tell_moved(name: str, items: Mapping[str, str], store: LabelStore) -> None:
    """Say which items stood for another clip before, as those of a table of the same name do."""
    before = store.items(name)
    moved = [item for item, clip in items.items() if before.get((name, item), clip) != clip]
    if moved:
        log.warning(
            "%s items of %r, such as %r, stood for other videos in %s before; from now on they "
            "stand for these. Where it is another data set, give it a name of its own "
            "(dataset.name) or a label store of its own",
            len(moved), name, moved[0], store.path,
        )  # fmt: skip
