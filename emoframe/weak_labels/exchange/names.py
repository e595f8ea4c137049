"""Prompts and labelers of a store by the names that people see of them.

Decided here: whatever a table or an error prints names the thing again when it is typed: `cot`,
`cot@1f2e3d4c`, `gemini`, the source of an import, or the beginning of a hash. Where a name fits
several, nothing is guessed: the sentence lists them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple, TypeVar

from emoframe.core.errors import DataError, suggest
from emoframe.labelling import Prompt
from emoframe.weak_labels.rows import LabelerRecord
from emoframe.weak_labels.store import LabelStore

T = TypeVar("T")
PROBE = "probe_"
"""Begin of the names of prompts that ask what a labeler must not know: their answers are no labels
(see `emoframe.evidence.probe.prompts`)."""


class _Named(NamedTuple):
    """How one thing may be called: as it is printed, and by each of its names."""

    printed: str
    names: Collection[str]


def prompt_name(prompt: Prompt) -> str:
    """Return how a prompt is printed: its name and the beginning of its hash."""
    return f"{prompt.name}@{prompt.hash[:8]}"


def is_probe(prompt: Prompt) -> bool:
    """Say whether a prompt asks for something else than a weak label."""
    return prompt.name.startswith(PROBE)


def is_called(given: str, names: Collection[str], key: str) -> bool:
    """Say whether something of these names and this hash may be meant; nothing given means all."""
    name, _, start = given.rpartition("@")
    return given in names or key.startswith(given) or (
        name in names and bool(start) and key.startswith(start)
    )  # fmt: skip


def find_prompt(store: LabelStore, given: str) -> Prompt:
    """Return a prompt by its name, `name@hash`, or the beginning of its hash.

    Raises:
        DataError: There is none, or several are called so.
    """
    found = {one.hash: one.prompt for one in store.prompts()}
    named = {key: _Named(prompt_name(one), (one.name,)) for key, one in found.items()}
    return found[_key(store, "prompt", given, named)]


def find_labeler(store: LabelStore, given: str) -> LabelerRecord:
    """Return a labeler by its type, `type@key`, the source of an import, or the begin of its key.

    Raises:
        DataError: There is none, or several are called so.
    """
    found = {one.key: one for one in store.labelers()}
    named = {key: _Named(one.name, names_of(one)) for key, one in found.items()}
    return found[_key(store, "labeler", given, named)]


def prompts_of(store: LabelStore, dataset: str, labeler: str) -> list[Prompt]:
    """Return the prompts for weak labels that a labeler, given by its key, was asked."""
    asked = {one.key.prompt for one in store.answers(dataset, labeler=labeler)}
    found = [one.prompt for one in store.prompts() if one.hash in asked]
    return [one for one in found if not is_probe(one)]


def names_of(labeler: LabelerRecord) -> set[str]:
    """Return its type and, where labels were made elsewhere, who made them."""
    told = (labeler.config.get("type"), labeler.config.get("name"))
    return {str(name) for name in told if name}


def _key(store: LabelStore, sort: str, given: str, named: Mapping[str, _Named]) -> str:
    fits = [key for key, one in named.items() if given and is_called(given, one.names, key)]
    if len(fits) == 1:
        return fits[0]
    printed = sorted(one.printed for one in named.values())
    if fits:
        several = ", ".join(sorted(named[key].printed for key in fits))
        raise DataError(f"{store.path}: {sort} {given!r}: several are called so: {several}")
    names = {*printed, *(name for one in named.values() for name in one.names)}
    raise DataError(
        f"{store.path}: {sort} {given!r}: there is none{suggest(given, sorted(names))}; known are "
        f"{', '.join(printed) or 'none'}"
    )
