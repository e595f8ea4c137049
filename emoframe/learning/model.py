"""The Recognizer: branches, fusion and classifier, wired by what each part says of itself.

Widths and joint counts never stand in a config: every part exposes `out_dim`, and the model passes
the numbers that the next one needs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import distributed, nn

from emoframe.core.errors import RunError
from emoframe.core.registry import create
from emoframe.learning.branches import TextBranch, Tokens, Wiring, build_branch
from emoframe.learning.dropout import drop_modalities
from emoframe.learning.engine import BaseModel
from emoframe.learning.experiment import Model
from emoframe.records import Output, Target


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
        known = {
            "num_classes": self.num_classes,
            "class_counts": wiring.class_counts,
            "noise_matrix": wiring.noise_matrix,
        }
        self.loss: Any = create("loss", model.loss, known)
        self.auxiliary: Any = model.auxiliary and create("loss", model.auxiliary, known)
        self.auxiliary_weight = model.auxiliary_weight
        self.modality_dropout = model.modality_dropout

    def forward(
        self,
        inputs: Mapping[str, Any],
        masks: Mapping[str, torch.Tensor],
        times: Mapping[str, torch.Tensor],
        present: Mapping[str, torch.Tensor],
        target: Target | None = None,
        ids: Sequence[str] = (),
        mode: str = "tensor",
    ) -> Any:
        """Run the network; the signature is mmengine's, the batch that of `collate`.

        Returns:
            `Output` for mode `tensor`, scalars by name for `loss`, `[Output]` for `predict`.
        """
        if self.training:
            present = drop_modalities(present, self.modality_dropout)
        some = next(iter(present.values()))
        z: dict[str, torch.Tensor] = {}
        tokens: dict[str, Tokens] = {}
        for name, branch in self.branches.items():
            if name not in inputs:  # no clip of the batch has it, so that any vector will do
                z[name] = torch.zeros(len(some), self.widths[name], device=some.device)
                continue
            z[name], found = branch(inputs[name], masks.get(name), times.get(name))
            tokens |= {f"{name}.{group}".strip("."): one for group, one in found.items()}
        fused = self.fusion_head(z, {name: present[name] for name in z})
        output = Output(
            self.classifier(fused),
            fused,
            {name: one.weight_NS for name, one in tokens.items()},
            {name: one.span_NS2 for name, one in tokens.items()},
        )
        if mode == "loss":
            assert target is not None  # there is one wherever there is something to learn
            return self.losses(output, target)
        return [output] if mode == "predict" else output

    def losses(self, output: Output, target: Target) -> dict[str, torch.Tensor]:
        """Return the loss, and the weighted auxiliary one where there is one (W2S-36).

        Both are means over the weights of a batch. Where several processes share a batch, each
        counts as much as its weights do in all of them: they average gradients evenly.
        """
        share = _share(target.weight_N)
        found = {"loss": self.loss(output, target) * share}
        if self.auxiliary:
            found["auxiliary_loss"] = self.auxiliary_weight * self.auxiliary(output, target) * share
        return found

    def start_from(self, branches: Mapping[str, Mapping[str, torch.Tensor]]) -> None:
        """Take the weights of branches over, each whole.

        Raises:
            RunError: Some do not fit.
        """
        for name, weights in branches.items():
            try:
                self.branches[name].load_state_dict(weights)
            except RuntimeError as error:
                raise RunError(
                    f"the weights do not fit the branch {name!r} that is to start from them; give "
                    f"both stages the same parts: {error}"
                ) from error

    def fit_texts(self, texts: Callable[[str], Sequence[str]]) -> None:
        """Let each text encoder that learns from texts see those of training, once.

        Args:
            texts: Returns the texts of the training clips by the name of the input.
        """
        for name, branch in self.branches.items():
            if isinstance(branch, TextBranch) and hasattr(branch.encoder, "fit"):
                branch.encoder.fit(list(texts(name)))


def _share(weight_N: torch.Tensor) -> torch.Tensor | float:
    """Return the weights of this process in those of all, times the number of processes."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return 1.0
    own = weight_N.sum()
    whole = own.clone()
    distributed.all_reduce(whole)
    return own * distributed.get_world_size() / torch.where(whole > 0, whole, 1)
