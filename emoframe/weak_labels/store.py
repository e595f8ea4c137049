"""The label store: everything that was asked, by whom, what came back, and what it cost.

One SQLite file. `database` says how it is kept safe, `ledger` how money is counted, `rows` what a
record is, `transfer` how it goes out and comes in.

Decided here: nothing is ever overwritten. An item, a prompt, an answer, a review is a row, and only
the end of a call or a batch is filled in later. What counts is the last row, and an answer that
ends its question beats one that does not (`FINAL`): a stored answer is never asked again, in
whatever order rows came. A prompt that was first used after the test labels of a data set had been
opened is stamped for ever.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import fields
from types import TracebackType
from typing import Any, Self

from emoframe.core.errors import DataError, EmoframeError, suggest
from emoframe.labelling import Prompt, Status
from emoframe.weak_labels.asking.unsaved import UnsavedError
from emoframe.weak_labels.database import LabelStoreError
from emoframe.weak_labels.exchange.tables import insert, select
from emoframe.weak_labels.ledger import GONE, BudgetError, Ledger, take_call, take_in
from emoframe.weak_labels.plain import RECORDS, plural
from emoframe.weak_labels.rows import (
    FINAL,
    Answer,
    Batch,
    Call,
    CallState,
    Consent,
    Contents,
    Item,
    LabelerRecord,
    Measure,
    Opening,
    PromptUse,
    QuestionKey,
    Review,
    now,
)

__all__ = [
    "FINAL", "Answer", "Batch", "BudgetError", "Call", "CallState", "Consent", "Contents", "Item",
    "LabelStore", "LabelStoreError", "LabelerRecord", "Measure", "Opening", "PromptUse",
    "QuestionKey", "Review", "UnsavedError", "now",
]  # fmt: skip

_FINAL = ", ".join(f"'{status}'" for status in sorted(FINAL))
_LAST = f"""
n IN (SELECT n FROM (SELECT n, row_number() OVER (
    PARTITION BY clip, prompt, labeler, sample
    ORDER BY status IN ({_FINAL}) DESC, answered_at DESC, n DESC) AS rank FROM answer)
WHERE rank = 1)
"""
"""One answer per question: the last that ends it; else the last."""
_FIRST_USE = """
SELECT prompt, at, min(julianday(at)) FROM (
    SELECT prompt, at FROM call UNION ALL SELECT prompt, asked_at FROM answer WHERE asked_at != '')
GROUP BY prompt
"""


class LabelStore(Ledger):
    """A label store; `with LabelStore(path) as store:`. See `Database` for its arguments.

    It may be used from several threads and several processes at a time. Every method that changes
    it raises `LabelStoreError` where the file cannot be written.
    """

    def __enter__(self) -> Self:
        """Return the store."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it; an error that is on its way stays the one that is told."""
        with nullcontext() if error is None else suppress(EmoframeError):
            self.close()

    def add_prompt(self, prompt: Prompt) -> str:
        """Keep a prompt whole and return its hash; where it is known, its first name stays."""
        with self.writing() as db:
            insert(db, prompt)
        return prompt.hash

    def prompt(self, hash: str) -> Prompt:  # noqa: A002
        """Return a prompt by its hash, or by the beginning of it.

        Raises:
            DataError: There is none, or several begin so.
        """
        return self._named("prompt", "hash", hash)

    def prompts(self) -> list[PromptUse]:
        """Return every prompt and when it was first used, the first used first."""
        with self.reading() as db:
            used = {row["prompt"]: row["at"] for row in db.execute(_FIRST_USE)}
            found = [PromptUse(one, one.hash, used.get(one.hash)) for one in select(db, "prompt")]
        return sorted(found, key=lambda one: (one.first_used or "~", one.hash))

    def add_labeler(self, labeler: LabelerRecord) -> None:
        """Keep who is asked."""
        with self.writing() as db:
            insert(db, labeler)

    def labeler(self, key: str) -> LabelerRecord:
        """Return a labeler by its key, or by the beginning of it.

        Raises:
            DataError: There is none, or several begin so.
        """
        return self._named("labeler", "key", key)

    def labelers(self) -> list[LabelerRecord]:
        """Return everybody who was asked."""
        with self.reading() as db:
            return select(db, "labeler")

    def add_items(self, dataset: str, clips: Mapping[str, str]) -> None:
        """Keep which clip each item of a data set stands for; what is known is not written again.

        Args:
            dataset: Name of the data set.
            clips: `Clip.key` by item.
        """
        with self.writing() as db:
            known = _items(select(db, "item", "dataset = ?", dataset))
            for item, clip in clips.items():
                if known.get((dataset, item)) != clip:
                    insert(db, Item(dataset, item, clip, now()))

    def items(self, dataset: str | None = None) -> dict[tuple[str, str], str]:
        """Return the `Clip.key` that each (data set, item) stands for."""
        with self.reading() as db:
            return _items(select(db, "item", "? IN ('', dataset)", dataset or ""))

    def statuses(self, prompt: str, labeler: str) -> dict[QuestionKey, Status]:
        """Return how each question ended; no answer is read."""
        query = f"SELECT clip, prompt, labeler, sample, status FROM answer WHERE {_LAST}"
        with self.reading() as db:
            rows = db.execute(f"{query} AND prompt = ? AND labeler = ?", (prompt, labeler))
            return {QuestionKey(*key): status for *key, status in rows}

    def unknown(self) -> list[Call]:
        """Return the calls that may have been paid without an answer.

        A labeler that no model is charged for costs nothing by being killed, but may say itself, as
        a server of one's own does, that a call was worked on in vain.
        """
        free = {one.key for one in self.labelers() if not one.model}
        found = self.calls("unknown")
        return [one for one in found if one.reason != GONE or one.key.labeler not in free]

    def answers(
        self,
        dataset: str | None = None,
        prompt: str | None = None,
        labeler: str | None = None,
        status: Status | None = None,
        clips: Collection[str] | None = None,
    ) -> list[Answer]:
        """Return the answer to each question, in the order of (clip, prompt, labeler, sample).

        Args:
            dataset: Only clips of items of this data set.
            prompt: Only this `Prompt.hash`.
            labeler: Only this `LabelerRecord.key`.
            status: Only what ended so.
            clips: Only these `Clip.key`.
        """
        given = {"prompt": prompt, "labeler": labeler, "status": status}
        given = {name: value for name, value in given.items() if value is not None}
        where = " AND ".join([_LAST, *(f"{name} = ?" for name in given)])
        with self.reading() as db:
            found = [kept.answer for kept in select(db, "answer", where, *given.values())]
            wanted = set(_items(select(db, "item", "dataset = ?", dataset)).values())
        if dataset is not None:
            found = [one for one in found if one.key.clip in wanted]
        if clips is not None:
            found = [one for one in found if one.key.clip in clips]
        return sorted(found, key=lambda one: one.key)

    def add_review(self, review: Review) -> bool:
        """Keep what a person found right, and say whether it was new."""
        with self.writing() as db:
            return insert(db, review)

    def reviews(self, dataset: str | None = None) -> list[Review]:
        """Return the last review of each item by each reviewer, in the order of the items."""
        with self.reading() as db:
            found = select(db, "review", "? IN ('', dataset)", dataset or "")
        last = {(one.dataset, one.item, one.reviewer): one for one in found}
        return [last[key] for key in sorted(last)]

    def add_consent(self, dataset: str, terms: str) -> None:
        """Keep that somebody read these terms of a data set and allowed its upload."""
        with self.writing() as db:
            insert(db, Consent(dataset, terms, now()))

    def consent(self, dataset: str) -> Consent | None:
        """Return the last consent to the upload of a data set; None where nobody gave any."""
        with self.reading() as db:
            found = select(db, "consent", "dataset = ?", dataset)
        return found[-1] if found else None

    def add_opening(self, dataset: str, run: str, prompt: str | None = None) -> None:
        """Keep that a run opened the test labels of a data set, with the labels of which prompt."""
        with self.writing() as db:
            insert(db, Opening(dataset, run, prompt, now()))

    def openings(self, dataset: str | None = None) -> list[Opening]:
        """Return when the test labels were opened, the first time first."""
        with self.reading() as db:
            return select(db, "opening", "? IN ('', dataset)", dataset or "")

    def stamped(self, dataset: str) -> set[str]:
        """Return the prompts that were first used after the test of a data set had been opened."""
        opened = self.openings(dataset)
        used = {one.hash: one.first_used for one in self.prompts()}
        return {name for name, at in used.items() if opened and at and at > opened[0].at}

    def add_measure(self, measure: Measure) -> None:
        """Keep what was found out about the labels of a prompt and a labeler."""
        with self.writing() as db:
            insert(db, measure)

    def measures(
        self, what: str, prompt: str, labeler: str, dataset: str | None = None
    ) -> list[Measure]:
        """Return what was found out about one matter, the last of it last."""
        where = "what = ? AND prompt = ? AND labeler = ? AND ? IN ('', dataset)"
        with self.reading() as db:
            return select(db, "measure", where, what, prompt, labeler, dataset or "")

    def add_batch(self, name: str, labeler: str, keys: Sequence[QuestionKey]) -> None:
        """Keep what will be submitted under a name, before it is; a known name stays as it is."""
        with self.writing() as db:
            insert(db, Batch(name, labeler, tuple(keys), None, now(), ""))

    def set_job(self, name: str, job: str) -> None:
        """Keep what the service calls a batch."""
        with self.writing() as db:
            db.execute("UPDATE batch SET job = ? WHERE name = ?", (job, name))

    def batches(self, open_only: bool = True) -> list[Batch]:
        """Return the batches that wait at a service, or all that ever did."""
        with self.reading() as db:
            return select(db, "batch", "closed_at = ''" if open_only else "1")

    def close_batch(self, name: str) -> None:
        """Keep that a batch was collected or given up."""
        with self.writing() as db:
            db.execute("UPDATE batch SET closed_at = ? WHERE name = ?", (now(), name))

    def contents(self) -> Contents:
        """Return everything in the store, as one state of it."""
        with self.reading() as db:
            return Contents(**{plural(sort): tuple(select(db, sort)) for sort in RECORDS})

    def merge(self, contents: Contents) -> dict[str, int]:
        """Take everything in that is not there yet, whole or not at all.

        Calls come along, so that what they cost counts as spent here too; one that is `unknown`
        here and has ended there is ended here.

        Returns:
            How many records of each sort were new.
        """
        new = dict.fromkeys((one.name for one in fields(contents)), 0)
        with self.writing() as db:
            for name in new:
                for record in getattr(contents, name):
                    known = {"answers": take_in, "calls": take_call}.get(name, insert)
                    new[name] += known(db, record)
        return new

    def _named(self, sort: str, column: str, given: str) -> Any:
        with self.reading() as db:
            found = select(db, sort, f"substr({column}, 1, ?) = ?", len(given), given)
            known = [row[0] for row in db.execute(f"SELECT {column} FROM {sort}")]
        if len(found) != 1 or not given:
            why = "several begin so" if found else "there is none" + suggest(given, known)
            raise DataError(
                f"{self.path}: {sort} {given!r}: {why}; known are "
                f"{', '.join(one[:12] for one in known) or 'none'}"
            )
        return found[0]


def _items(found: Sequence[Item]) -> dict[tuple[str, str], str]:
    """Return the clip that each item stands for now; `found` is in the order of time."""
    return {(one.dataset, one.item): one.clip for one in found}
