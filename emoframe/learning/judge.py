"""What a run says about clips: a plain loop, which needs no label and no Runner."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from emoframe.learning.clips import Clips, collate
from emoframe.learning.model import Recognizer
from emoframe.learning.run import Run
from emoframe.records import Prediction


def predict_clips(run: Run, clips: Clips) -> list[Prediction]:
    """Return what a run says about clips, in their order: the votes of all their views."""
    model, count = run.model(), run.experiment.view.votes
    views = np.stack([_probability(model, run, clips.seen(view)) for view in range(count)])
    mean, votes = views.mean(0), views.argmax(-1)
    return [
        Prediction(
            ref.id, mean[n], ref.label, ref.subject, tuple(votes[:, n].tolist()) * (count > 1)
        )
        for n, ref in enumerate(clips.refs)
    ]


def _probability(model: Recognizer, run: Run, clips: Clips) -> NDArray[np.float64]:
    """Return the class probabilities of one view of clips, (clips, K)."""
    to_model: Any = model.data_preprocessor  # mmengine's: moves a batch to where the model is
    loader = DataLoader(clips, run.experiment.train.batch_size, collate_fn=collate)
    with torch.inference_mode():
        outputs = [model(**to_model(batch)).logits_NK.double().softmax(-1) for batch in loader]
    return torch.cat(outputs).cpu().numpy()
