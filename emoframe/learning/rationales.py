"""The rationales of a data set's items, as an input of the model: out of the label store.

Decided here: of several answers to one question the first speaks. Whether the verdict is part of
the text is a setting of the view.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

from emoframe.labelling import WeakLabel
from emoframe.learning.answers import Answers
from emoframe.learning.checks import AbsentError
from emoframe.records import SampleRef
from emoframe.weak_labels.read import RationaleView


class Rationales:
    """Fetches what a labeler wrote about an item, see `emoframe.learning.clips.Loader`.

    Args:
        answers: What it said.
        view: Whether the verdict is part of the text.
    """

    def __init__(self, answers: Answers, view: RationaleView = "full") -> None:
        self.answers, self.view = answers, view

    def __call__(self, ref: SampleRef) -> str:
        """Return the rationale of an item; of a video, where the answers are of no data set.

        Raises:
            AbsentError: There is none; the sentence says why.
            DataError: There is no label store, or none of these settings.
        """
        if self.answers.dataset:
            labels = self.answers.labels.get(ref.id, [])
            why = self.answers.missing.get(ref.id, "was never asked about")
        else:
            labels = self.answers.of_video(ref.video) if ref.video else []
            why = "was never asked about with the settings of the run"
        if not labels:
            raise AbsentError(
                f"{ref.id}: {str(self.answers.settings.store)!r} has no rationale of it: it {why}; "
                "run emoframe label with this config"
            )
        return self._text(labels)

    @property
    def simulated(self) -> bool:
        """Whether any text is by somebody who never saw the clip."""
        return self.answers.simulated

    def fingerprint(self) -> dict[str, str]:
        """Return what decides the texts: prompt, labeler, and a hash over all texts of the data."""
        texts = {item: self._text(labels) for item, labels in self.answers.labels.items()}
        content = hashlib.sha256(json.dumps(texts, sort_keys=True).encode()).hexdigest()
        return {"prompt": self.answers.prompt, "labeler": self.answers.labeler, "texts": content}

    def _text(self, labels: Sequence[WeakLabel]) -> str:
        """Return what the first of several answers to one question says."""
        return labels[0].rationale if self.view == "full" else labels[0].rationale_no_verdict
