"""What a text encoder promises, tried on a few texts, see `emoframe.testing`."""

from __future__ import annotations

import copy
from typing import Any

import torch

TEXTS = (
    "She smiles, raises her brows and nods several times.",
    "He rubs his eyes, presses his lips together and looks away.",
    "",
    "Both hands rest on the table. " * 120,
)
"""Different ones, an empty one, and one of 720 words."""


def check_text_encoder(label: str, part: Any) -> None:
    """Check shapes, that texts do not see one another, state, and where gradients go.

    Args:
        label: What to call the part.
        part: A module in evaluation mode that was not fitted yet.
    """
    fresh = copy.deepcopy(part)
    if hasattr(part, "fit"):
        part.fit(list(TEXTS))
    z = part(list(TEXTS))
    promised = (len(TEXTS), part.out_dim)
    assert z.shape == promised, (
        f"{label}: z_ND has shape {tuple(z.shape)}, out_dim promises {promised}"
    )
    assert torch.isfinite(z).all(), f"{label}: gives NaN or infinity"
    assert not torch.equal(z[0], z[1]), f"{label}: gives different texts the same vector"
    _same(label, "the order of the texts must change nothing", part(list(TEXTS[::-1])).flip(0), z)
    alone = torch.cat([part([text]) for text in TEXTS])
    _same(label, "texts must not see one another", alone, z)
    fresh.load_state_dict(part.state_dict())
    _same(label, "the state dict must restore it", fresh(list(TEXTS)), z)
    _check_gradients(label, part, z)


def _same(label: str, promise: str, one: torch.Tensor, other: torch.Tensor) -> None:
    gap = float((one - other).abs().max().detach())
    assert gap < 1e-4, f"{label}: {promise}, but the result changed by {gap:.2g}"


def _check_gradients(label: str, part: torch.nn.Module, z: torch.Tensor) -> None:
    """Check that gradients reach what is to be trained, and nothing else."""
    trained = [name for name, p in part.named_parameters() if p.requires_grad]
    assert z.requires_grad == bool(trained), (
        f"{label}: has {len(trained)} parameters to train, and its result "
        f"{'carries a' if z.requires_grad else 'carries no'} gradient"
    )
    if not trained:
        return
    part.zero_grad()
    (z * torch.linspace(0.5, 1.5, z.numel()).view_as(z)).sum().backward()
    lost = [name for name, p in part.named_parameters() if p.requires_grad and p.grad is None]
    assert not lost, f"{label}: no gradient reaches {', '.join(lost)}"
    moved = [
        name for name, p in part.named_parameters() if not p.requires_grad and p.grad is not None
    ]
    assert not moved, f"{label}: frozen {', '.join(moved)} gets a gradient"
