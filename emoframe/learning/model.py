"""The Recognizer: branches, fusion and classifier, wired by what each part says of itself.

Widths and joint counts never stand in a config: every part exposes `out_dim`, and the model passes
the numbers that the next one needs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from emoframe.core.registry import create
from emoframe.learning.branches import TextBranch, Wiring, build_branch
from emoframe.learning.clips import gold
from emoframe.learning.engine import BaseModel
from emoframe.learning.experiment import Model
from emoframe.records import Output


class Recognizer(BaseModel):
    """Branches, fusion head and classifier; what mmengine's Runner trains.

    Args:
        model: The parts.
        wiring: What they have to know of the data.
    """

    def __init__(self, model: Model, wiring: Wiring) -> None:
        super().__init__()
        branches = {name: build_branch(b, wiring, name) for name, b in model.branches.items()}
        self.branches = nn.ModuleDict(branches)
        self.widths = {name: branch.out_dim for name, branch in branches.items()}
        self.fusion_head: Any = create("fusion_head", model.fusion_head, {"in_dims": self.widths})
        self.num_classes = len(wiring.class_counts)
        self.classifier = nn.Linear(self.fusion_head.out_dim, self.num_classes)
        self.loss: Any = create(
            "loss",
            model.loss,
            {"num_classes": self.num_classes, "class_counts": wiring.class_counts},
        )

    def forward(
        self,
        inputs: Mapping[str, Any],
        masks: Mapping[str, torch.Tensor],
        times: Mapping[str, torch.Tensor],
        present: Mapping[str, torch.Tensor],
        labels: torch.Tensor,
        ids: Sequence[str] = (),
        mode: str = "tensor",
    ) -> Any:
        """Run the network; the signature is mmengine's, the batch that of `collate`.

        Returns:
            `Output` for mode `tensor`, `{"loss": scalar}` for `loss`, `[Output]` for `predict`.
        """
        z: dict[str, torch.Tensor] = {}
        relevance: dict[str, torch.Tensor] = {}
        for name, branch in self.branches.items():
            if name not in inputs:  # no clip of the batch has it, so that any vector will do
                z[name] = torch.zeros(len(labels), self.widths[name], device=labels.device)
                continue
            z[name], weights = branch(inputs[name], masks.get(name), times.get(name))
            relevance |= {f"{name}.{g}".strip("."): weight for g, weight in weights.items()}
        fused = self.fusion_head(z, {name: present[name] for name in z})
        output = Output(self.classifier(fused), fused, relevance)
        if mode == "loss":
            return {"loss": self.loss(output, gold(labels, self.num_classes))}
        return [output] if mode == "predict" else output

    def fit_texts(self, texts: Callable[[str], Sequence[str]]) -> None:
        """Let each text encoder that learns from texts see those of training, once.

        Args:
            texts: Returns the texts of the training clips by the name of the input.
        """
        for name, branch in self.branches.items():
            if isinstance(branch, TextBranch) and hasattr(branch.encoder, "fit"):
                branch.encoder.fit(list(texts(name)))
