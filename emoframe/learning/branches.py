"""The branches of the Recognizer: from one input to one vector, for each sort of input.

Keypoints: parts of its own for each layout group, whose vectors are concatenated and projected.
Frame features: a temporal encoder and a pooling over vectors that a frame encoder made. Text: a
text encoder. Decided here: frame features are normalised like keypoints, by what was measured,
since encoders differ in scale by orders of magnitude; the vector of a text by a LayerNorm.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import torch
from torch import nn

from emoframe.core.errors import ConfigError, DataError, Problem, suggest
from emoframe.core.registry import create
from emoframe.learning.experiment import Branch
from emoframe.learning.features import channels
from emoframe.learning.processes import add_up
from emoframe.skeleton import SkeletonLayout


@dataclass(frozen=True)
class Wiring:
    """What the model has to know of its data.

    Attributes:
        layout: Names, groups and edges of the joints; None where no input is keypoints.
        dims: Coordinates per joint, 2 or 3; 0 without keypoints.
        lags: Number of offsets per joint.
        class_counts: Training items of each class.
        frame_dims: Width of each input that is frame features, by its name.
        noise_matrix: P(weak label j | class i) of the weak labels, row by row; None where there are
            none, or nobody measured it.
    """

    layout: SkeletonLayout | None
    dims: int
    lags: int
    class_counts: tuple[int, ...]
    frame_dims: Mapping[str, int] = field(default_factory=dict)
    noise_matrix: tuple[tuple[float, ...], ...] | None = None

    @property
    def in_channels(self) -> int:
        """C: coordinates, offsets, validity."""
        return channels(self.dims, self.lags)


class KeypointNorm(nn.Module):
    """Normalises measured values per joint and channel with running statistics.

    Coordinates live in [0, 1] and offsets in hundredths; without this a backbone hardly sees the
    latter. Sums and counts are averaged apart, so that a joint that is seldom seen is judged by
    many batches. Validity channels pass unchanged; what was not measured stays zero. The vector of
    a frame is one joint with D coordinates and no offsets.
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

        What no clip of the batch shows keeps its averages: they would fade to nothing. Processes
        that share a batch see all of it.
        """
        measured = torch.cat(self._measured(x_NTVC, mask_NTV), -1).repeat_interleave(self.dims, -1)
        x = x_NTVC[..., : measured.shape[-1]] * measured
        sums = torch.stack([seen.sum((0, 1)) for seen in (measured, x, x**2)]).to(self.count_VC)
        count, *_ = add_up(sums)
        step = self.momentum * (count > 0).to(self.count_VC)
        for average, of_batch in zip(
            (self.count_VC, self.sum_VC, self.square_VC), sums, strict=True
        ):
            average.lerp_(of_batch, step)


class Tokens(NamedTuple):
    """What became of the tokens of a batch.

    Attributes:
        weight_NS: Share of each in its clip; zero for what is masked.
        span_NS2: Start and end of each, seconds from the first of the clip on.
    """

    weight_NS: torch.Tensor
    span_NS2: torch.Tensor


class GroupEncoder(nn.Module):
    """Backbone, temporal encoder and pooling of one layout group."""

    def __init__(self, branch: Branch, wiring: Wiring, group: str) -> None:
        super().__init__()
        backbone, encoder, pooling = branch.parts(group)
        layout = _layout(wiring)
        joints = layout.group(group)
        run = range(joints[0], joints[0] + len(joints))
        # neighbours in the layout are cut out without a copy
        self.joints = slice(run.start, run.stop) if joints == tuple(run) else list(joints)
        self.norm = KeypointNorm(wiring, len(joints))
        known = {
            "num_joints": len(joints),
            "in_channels": wiring.in_channels,
            "edges": layout.group_edges(group),
        }
        try:
            self.backbone: Any = create("keypoint_backbone", backbone, known)
        except DataError as error:
            where = f"group {group!r} of layout {layout.name!r}"
            raise DataError(f"{where}: {error}") from error
        self.encoder: Any = create("temporal_encoder", encoder, {"in_dim": self.backbone.out_dim})
        self.pooling: Any = create("pooling", pooling, {"in_dim": self.encoder.out_dim})
        self.out_dim: int = self.encoder.out_dim

    def forward(
        self, x_NTVC: torch.Tensor, mask_NTV: torch.Tensor, time_NT: torch.Tensor
    ) -> tuple[torch.Tensor, Tokens]:
        """Return z_ND and how much each token counts in it."""
        mask = mask_NTV[:, :, self.joints]
        h_NTD = self.backbone(self.norm(x_NTVC[:, :, self.joints], mask), mask)
        h_NSD, span_NS2, mask_NS = self.encoder(h_NTD, time_NT, mask.any(-1))
        z, weight_NS = self.pooling(h_NSD, mask_NS)
        return z, Tokens(weight_NS, span_NS2)


class KeypointBranch(nn.Module):
    """One encoder per layout group, concatenated and projected (W2S-23)."""

    def __init__(self, branch: Branch, wiring: Wiring, name: str) -> None:
        super().__init__()
        layout = _layout(wiring)
        known = list(layout.groups)
        groups = known if branch.groups is None else branch.groups
        wrong = [g for g in [*groups, *branch.per_group] if g not in known]
        if wrong or not groups:
            given = wrong[0] if wrong else "none"
            raise ConfigError(
                [
                    Problem(
                        f"model.branches.{name}.groups",
                        f"there is no group {given!r}"
                        f"{suggest(given, known)} (layout {layout.name!r} has "
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
    ) -> tuple[torch.Tensor, dict[str, Tokens]]:
        """Return z_ND and how much the tokens of each group count."""
        done = {name: encoder(x_NTVC, mask_NTV, time_NT) for name, encoder in self.groups.items()}
        z = self.projection(torch.cat([z for z, _ in done.values()], -1))
        return z, {name: tokens for name, (_, tokens) in done.items()}


class FrameBranch(nn.Module):
    """Temporal encoder and pooling over the vectors of frames, projected (W2S-11)."""

    def __init__(self, branch: Branch, wiring: Wiring, name: str) -> None:
        super().__init__()
        _, encoder, pooling = branch.parts()
        width = wiring.frame_dims[name]
        self.norm = KeypointNorm(replace(wiring, dims=width, lags=0), 1)
        self.encoder: Any = create("temporal_encoder", encoder, {"in_dim": width})
        self.pooling: Any = create("pooling", pooling, {"in_dim": self.encoder.out_dim})
        self.projection = nn.Linear(self.encoder.out_dim, branch.out_dim)
        self.out_dim = branch.out_dim

    def forward(
        self, x_NTD: torch.Tensor, mask_NT: torch.Tensor, time_NT: torch.Tensor
    ) -> tuple[torch.Tensor, dict[str, Tokens]]:
        """Return z_ND and how much each token counts in it."""
        h_NTD = self.norm(x_NTD[:, :, None], mask_NT[:, :, None])[:, :, 0]
        h_NSD, span_NS2, mask_NS = self.encoder(h_NTD, time_NT, mask_NT)
        z, weight_NS = self.pooling(h_NSD, mask_NS)
        return self.projection(z), {"": Tokens(weight_NS, span_NS2)}


class TextBranch(nn.Module):
    """A text encoder, normalised and projected (W2S-27)."""

    def __init__(self, branch: Branch) -> None:
        super().__init__()
        assert branch.text_encoder is not None  # which makes it a branch of text
        self.encoder: Any = create("text_encoder", branch.text_encoder)
        self.norm = nn.LayerNorm(self.encoder.out_dim)
        self.projection = nn.Linear(self.encoder.out_dim, branch.out_dim)
        self.out_dim = branch.out_dim

    def forward(self, texts: Sequence[str], *_: object) -> tuple[torch.Tensor, dict[str, Tokens]]:
        """Return z_ND; a text is read as a whole, so that there are no tokens to weigh."""
        return self.projection(self.norm(self.encoder(texts))), {}


def build_branch(
    branch: Branch, wiring: Wiring, name: str
) -> KeypointBranch | FrameBranch | TextBranch:
    """Build the branch of one input.

    Args:
        branch: Its parts.
        wiring: What they have to know of the data.
        name: Name of the input.
    """
    if branch.sort == "text":
        return TextBranch(branch)
    of_vectors = FrameBranch if branch.sort == "frames" else KeypointBranch
    return of_vectors(branch, wiring, name)


def _layout(wiring: Wiring) -> SkeletonLayout:
    assert wiring.layout is not None  # there is one wherever an input is keypoints
    return wiring.layout
