"""The Recognizer: branches, fusion and classifier, wired by what each part says of itself.

Widths and joint counts never stand in a config: every part exposes `out_dim`, and the model passes
the numbers that the next one needs. A keypoint branch builds its parts once per layout group.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from mmengine.model import BaseModel
from torch import nn

from emoframe.core.errors import ConfigError, DataError, Problem, suggest
from emoframe.core.registry import create
from emoframe.learning.clips import gold
from emoframe.learning.experiment import Branch, Model
from emoframe.learning.features import channels
from emoframe.records import Output
from emoframe.skeleton import SkeletonLayout


@dataclass(frozen=True)
class Wiring:
    """What the model has to know of its data.

    Attributes:
        layout: Names, groups and edges of the joints.
        dims: Coordinates per joint, 2 or 3.
        lags: Number of offsets per joint.
        class_counts: Training items of each class.
    """

    layout: SkeletonLayout
    dims: int
    lags: int
    class_counts: tuple[int, ...]

    @property
    def in_channels(self) -> int:
        """C: coordinates, offsets, validity."""
        return channels(self.dims, self.lags)


class KeypointNorm(nn.Module):
    """Normalises measured values per joint and channel with running statistics.

    Coordinates live in [0, 1] and offsets in hundredths; without this a backbone hardly sees the
    latter. Sums and counts are averaged apart, so that a joint that is seldom seen is judged by
    many batches. Validity channels pass unchanged; what was not measured stays zero.
    """

    FLOOR = 1e-6
    """Least variance: less than a thousandth of the box is jitter, not movement."""
    FRAMES = 128
    """About so many frames of a clip, evenly spaced, are looked at; more say nothing new."""

    def __init__(self, wiring: Wiring, num_joints: int, momentum: float = 0.1) -> None:
        super().__init__()
        self.dims, self.lags, self.momentum = wiring.dims, wiring.lags, momentum
        size = (num_joints, wiring.dims * (1 + wiring.lags))
        self.count_VC: torch.Tensor
        self.sum_VC: torch.Tensor
        self.square_VC: torch.Tensor
        for name in ("count_VC", "sum_VC", "square_VC"):
            self.register_buffer(name, torch.zeros(size))

    def forward(self, x_NTVC: torch.Tensor, mask_NTV: torch.Tensor) -> torch.Tensor:
        """Return x_NTVC, normalised where it was measured."""
        with torch.no_grad():  # nothing here is learned, so that one copy of x is enough
            if self.training:
                few = slice(None, None, max(1, x_NTVC.shape[1] // self.FRAMES))
                self._observe(x_NTVC[:, few], mask_NTV[:, few])
            mean, var = self.statistics()
            scale = nn.functional.pad(var.rsqrt(), (0, self.lags), value=1.0)
            shift = nn.functional.pad(-mean * var.rsqrt(), (0, self.lags))
            x = torch.addcmul(shift.to(x_NTVC), x_NTVC, scale.to(x_NTVC))
            for n, measured in enumerate(self._measured(x_NTVC, mask_NTV)):
                x[..., n * self.dims : (n + 1) * self.dims] *= measured
            return x

    def statistics(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return mean and variance, each (V, C); 0 and 1 for what was never measured."""
        count = self.count_VC.clamp(min=1e-12)
        mean = self.sum_VC / count
        var = (self.square_VC / count - mean**2).clamp(min=self.FLOOR)
        return mean, torch.where(self.count_VC > 0, var, 1.0)

    def _measured(self, x_NTVC: torch.Tensor, mask_NTV: torch.Tensor) -> list[torch.Tensor]:
        """Return whether the coordinates and each offset were measured, (N, T, V, 1) each."""
        return [mask_NTV[..., None], *x_NTVC[..., self.dims * (1 + self.lags) :].split(1, -1)]

    def _observe(self, x_NTVC: torch.Tensor, mask_NTV: torch.Tensor) -> None:
        """Move the averages of count, sum and sum of squares towards those of the batch.

        What no clip of the batch shows keeps its averages: they would fade to nothing.
        """
        measured = torch.cat(self._measured(x_NTVC, mask_NTV), -1).repeat_interleave(self.dims, -1)
        x = x_NTVC[..., : measured.shape[-1]] * measured
        step = self.momentum * (measured.sum((0, 1)) > 0).to(self.count_VC)
        for average, seen in (
            (self.count_VC, measured),
            (self.sum_VC, x),
            (self.square_VC, x**2),
        ):
            average.lerp_(seen.sum((0, 1)).to(average), step)


class GroupEncoder(nn.Module):
    """Backbone, temporal encoder and pooling of one layout group."""

    def __init__(self, branch: Branch, wiring: Wiring, group: str) -> None:
        super().__init__()
        backbone, encoder, pooling = branch.parts(group)
        joints = wiring.layout.group(group)
        run = range(joints[0], joints[0] + len(joints))
        # neighbours in the layout are cut out without a copy
        self.joints = slice(run.start, run.stop) if joints == tuple(run) else list(joints)
        self.norm = KeypointNorm(wiring, len(joints))
        known = {
            "num_joints": len(joints),
            "in_channels": wiring.in_channels,
            "edges": wiring.layout.group_edges(group),
        }
        try:
            self.backbone: Any = create("keypoint_backbone", backbone, known)
        except DataError as error:
            where = f"group {group!r} of layout {wiring.layout.name!r}"
            raise DataError(f"{where}: {error}") from error
        self.encoder: Any = create("temporal_encoder", encoder, {"in_dim": self.backbone.out_dim})
        self.pooling: Any = create("pooling", pooling, {"in_dim": self.encoder.out_dim})
        self.out_dim: int = self.encoder.out_dim

    def forward(
        self, x_NTVC: torch.Tensor, mask_NTV: torch.Tensor, time_NT: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return z_ND and the relevance of each token, weight_NS."""
        mask = mask_NTV[:, :, self.joints]
        h_NTD = self.backbone(self.norm(x_NTVC[:, :, self.joints], mask), mask)
        h_NSD, _, mask_NS = self.encoder(h_NTD, time_NT, mask.any(-1))
        return self.pooling(h_NSD, mask_NS)


class KeypointBranch(nn.Module):
    """One encoder per layout group, concatenated and projected (W2S-23)."""

    def __init__(self, branch: Branch, wiring: Wiring, name: str) -> None:
        super().__init__()
        known = list(wiring.layout.groups)
        groups = known if branch.groups is None else branch.groups
        wrong = [g for g in [*groups, *branch.per_group] if g not in known]
        if wrong or not groups:
            given = wrong[0] if wrong else "none"
            raise ConfigError(
                [
                    Problem(
                        f"model.branches.{name}.groups",
                        f"there is no group {given!r}"
                        f"{suggest(given, known)} (layout {wiring.layout.name!r} has "
                        f"{', '.join(known)})",
                    )
                ]
            )
        encoders = {g: GroupEncoder(branch, wiring, g) for g in groups}
        self.groups = nn.ModuleDict(encoders)
        width = sum(encoder.out_dim for encoder in encoders.values())
        self.projection = nn.Linear(width, branch.out_dim)
        self.out_dim = branch.out_dim

    def forward(
        self, x_NTVC: torch.Tensor, mask_NTV: torch.Tensor, time_NT: torch.Tensor
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Return z_ND and the relevance of each group's tokens."""
        done = {name: encoder(x_NTVC, mask_NTV, time_NT) for name, encoder in self.groups.items()}
        z = self.projection(torch.cat([z for z, _ in done.values()], -1))
        return z, {name: weight for name, (_, weight) in done.items()}


class Recognizer(BaseModel):
    """Branches, fusion head and classifier; what mmengine's Runner trains.

    Args:
        model: The parts.
        wiring: What they have to know of the data.
    """

    def __init__(self, model: Model, wiring: Wiring) -> None:
        super().__init__()
        branches = {name: KeypointBranch(b, wiring, name) for name, b in model.branches.items()}
        self.branches = nn.ModuleDict(branches)
        widths = {name: branch.out_dim for name, branch in branches.items()}
        self.fusion_head: Any = create("fusion_head", model.fusion_head, {"in_dims": widths})
        self.num_classes = len(wiring.class_counts)
        self.classifier = nn.Linear(self.fusion_head.out_dim, self.num_classes)
        self.loss: Any = create(
            "loss",
            model.loss,
            {"num_classes": self.num_classes, "class_counts": wiring.class_counts},
        )

    def forward(
        self,
        inputs: Mapping[str, torch.Tensor],
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
            z[name], weights = branch(inputs[name], masks[name], times[name])
            relevance |= {f"{name}.{group}": weight for group, weight in weights.items()}
        fused = self.fusion_head(z, {name: present[name] for name in z})
        output = Output(self.classifier(fused), fused, relevance)
        if mode == "loss":
            return {"loss": self.loss(output, gold(labels, self.num_classes))}
        return [output] if mode == "predict" else output
