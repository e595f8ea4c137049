"""Whether a labeler recognises somebody: how often it gives a name, and whose.

A sentence in a prompt keeps no model from recognising a famous player, and a rationale need not
betray that it did. Decided here: a name counts where it is given with confidence; it is taken for
recognition, and not for a guess, where clips of one subject get the same name and clips of others
do not, oftener than in 95 % of shuffles of the names among clips. No true names are needed,
and none is told in a report: they stay in the label store.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emoframe.evidence.grouped import NotMeasurableError, Told, jackknife, share_of, told
from emoframe.evidence.labels.labelled import Material
from emoframe.evidence.probe.prompts import name_in, same_names
from emoframe.evidence.stats import Interval

SHUFFLES = 200


@dataclass(frozen=True)
class Recognition:
    """How often somebody or something is named.

    Attributes:
        count: Clips that were asked about and answered.
        named: Share of them with a name, given with confidence.
        judged: Clips of subjects of whom several were answered.
        consistent: Share of those whose name another clip of the subject has too, and more clips of
            this subject have than of any other.
        shuffled: The same with names shuffled among clips: mean and 95 % quantile, above which
            names go with the subjects.
        names: Each name as it was given, by item.
    """

    count: int
    named: Told
    judged: int
    consistent: Told
    shuffled: tuple[float, float]
    names: dict[str, str]

    @property
    def goes_with_subjects(self) -> bool:
        """Whether names go with the subjects more than shuffled ones (a permutation test)."""
        found = self.consistent
        return isinstance(found, Interval) and found.value > self.shuffled[1]


def recognition(material: Material) -> Recognition:
    """Count names, and how far they go with the subjects."""
    rows = material.answered.rows
    given = {row.item: name_in(row.answers[0]) for row in rows}
    named = np.array([bool(given[row.item]) for row in rows], float)
    several = Counter(row.subject for row in rows if row.subject is not None)
    judged = [row for row in rows if several[row.subject or ""] > 1]
    subjects = [row.subject for row in judged]
    holds, shuffled = _consistent([given[row.item] for row in judged], subjects)
    return Recognition(
        len(rows),
        share_of(named, [row.subject for row in rows]),
        len(judged),
        told(lambda: _share(holds, subjects)),
        shuffled,
        {item: name for item, name in given.items() if name},
    )


def _share(holds: NDArray[np.bool_], subjects: Sequence[str | None]) -> Interval:
    if len(holds) < 2:
        raise NotMeasurableError("no subject has several clips that were answered")
    return jackknife(lambda of: float(holds[of].mean()), subjects)


def _consistent(
    names: Sequence[str], subjects: Sequence[str | None]
) -> tuple[NDArray[np.bool_], tuple[float, float]]:
    """Say of each clip whether its name is its subject's, and how many are by chance."""
    if not names:
        return np.zeros(0, np.bool_), (0.0, 0.0)
    spelled, name = np.unique(same_names(names), return_inverse=True)
    subject = np.unique([str(one) for one in subjects], return_inverse=True)[1]
    random = np.random.default_rng(0)
    by_chance = [_own(random.permutation(name), subject, spelled).mean() for _ in range(SHUFFLES)]
    most = float(np.quantile(by_chance, 0.95))
    return _own(name, subject, spelled), (float(np.mean(by_chance)), most)


def _own(
    name: NDArray[np.int64], subject: NDArray[np.int64], spelled: NDArray[np.str_]
) -> NDArray[np.bool_]:
    """Say of each clip whether its name is told of its subject twice, and of no other as often."""
    counts = np.zeros((len(spelled), subject.max() + 1), int)
    np.add.at(counts, (name, subject), 1)
    mine = counts[name, subject]
    others = counts[name]
    others[np.arange(len(name)), subject] = 0
    return (mine > 1) & (mine > others.max(1)) & (spelled[name] != "")
