"""What asking is given: who is asked what, within which limits, about which clips, who listens."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

from emoframe.labelling import Clip, Prompt
from emoframe.weak_labels.asking.limits import How
from emoframe.weak_labels.rows import Answer, LabelerRecord, QuestionKey
from emoframe.weak_labels.store import LabelStore

OpenClip = Callable[[], AbstractContextManager[Clip]]
OnRow = Callable[["Asked", Answer], None]


@dataclass(frozen=True)
class Asked:
    """What is to be asked about one clip.

    Attributes:
        item: What its data set calls it; told to the user alone.
        clip: Its key.
        samples: Numbers of the answers that are wanted.
        opened: Renders it, for as long as the block runs.
        glimpsed: Opens it without its pictures, which is fast: for its length.
    """

    item: str
    clip: str
    samples: tuple[int, ...]
    opened: OpenClip
    glimpsed: OpenClip


@dataclass(frozen=True)
class Inquiry:
    """Who is asked what, and where the answers go.

    Attributes:
        labeler: Who is asked.
        record: What the store calls it.
        prompt: What is asked.
        store: Where answers go.
        how: Limits.
    """

    labeler: Any
    record: LabelerRecord
    prompt: Prompt
    store: LabelStore
    how: How = field(default_factory=How)

    def key(self, clip: str, sample: int) -> QuestionKey:
        """Name a question."""
        return QuestionKey(clip, self.prompt.hash, self.record.key, sample)


@dataclass(frozen=True)
class Listener:
    """Who is told how asking goes.

    Attributes:
        on_start: Told how many questions are left, before the first.
        on_row: Told of each question as it ends, by one thread at a time.
        on_halt: Told why nothing more is sent, before calls in flight have ended; and then, what
            else broke, since that may say where an answer is.
    """

    on_start: Callable[[int], None] = lambda total: None
    on_row: OnRow = lambda asked, answer: None
    on_halt: Callable[[str], None] = lambda why: None
