"""What text encoders, fusion heads and losses promise, see `emoframe.testing`."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn

from emoframe.records import Output, Target

TEXTS = (
    "She smiles, raises her brows and nods several times.",
    "He rubs his eyes, presses his lips together and looks away.",
    "",
    "Both hands rest on the table. " * 120,
)
"""Different ones, an empty one, and one of 720 words."""
IN_DIMS = {"keypoints": 16, "frames": 8, "text": 12}
"""Branches that a fusion head joins, by their width."""
PRESENT = {
    "keypoints": (True, True, False, True, False),
    "frames": (True, False, True, True, False),
    "text": (True, False, True, False, False),
}
"""Samples with all branches, one, two, and none."""
NOISE = ((0.8, 0.1, 0.1), (0.2, 0.7, 0.1), (0.1, 0.3, 0.6))
"""P(weak | true) of three classes."""


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
    check_same(
        label, "the order of the texts must change nothing", part(list(TEXTS[::-1])).flip(0), z
    )
    alone = torch.cat([part([text]) for text in TEXTS])
    check_same(label, "texts must not see one another", alone, z)
    fresh.load_state_dict(part.state_dict())
    check_same(label, "the state dict must restore it", fresh(list(TEXTS)), z)
    _check_gradients(label, part, z)


def check_fusion_head(label: str, part: Any) -> None:
    """Check shapes, and that what is missing has no say, whatever it holds and even if all is.

    Args:
        label: What to call the part.
        part: A module in evaluation mode, built for `IN_DIMS`.
    """
    present = {name: torch.tensor(mask) for name, mask in PRESENT.items()}
    count = len(present["text"])
    z = {name: torch.randn(count, dim, requires_grad=True) for name, dim in IN_DIMS.items()}
    fused = part(z, present)
    promised = (count, part.out_dim)
    assert fused.shape == promised, (
        f"{label}: z_ND has shape {tuple(fused.shape)}, out_dim promises {promised}"
    )
    hidden = {name: one.masked_fill(~present[name][:, None], torch.nan) for name, one in z.items()}
    check_same(label, "a missing branch must change nothing", part(hidden, present), fused)
    turned = {name: z[name] for name in reversed(z)}
    check_same(label, "the order of the branches must change nothing", part(turned, present), fused)
    alone = [part({n: x[i : i + 1] for n, x in z.items()}, _rows(present, i)) for i in range(count)]
    check_same(label, "samples must not see one another", torch.cat(alone), fused)
    check_reached(label, part, fused)
    for name, one in z.items():
        assert one.grad is not None, f"{label}: no gradient reaches the branch {name}"
        assert not one.grad[~present[name]].any(), f"{label}: a missing {name} gets a gradient"
        assert one.grad[present[name]].any(1).all(), f"{label}: a present {name} gets no gradient"


def _rows(present: dict[str, torch.Tensor], index: int) -> dict[str, torch.Tensor]:
    return {name: mask[index : index + 1] for name, mask in present.items()}


def check_loss(label: str, part: Any) -> None:
    """Check that weights mean what they should, and that the loss is finite wherever logits go.

    Args:
        label: What to call the part.
        part: A module in evaluation mode, built for three classes.
    """
    output, target = _batch()
    value = part(output, target)
    assert value.shape == (), f"{label}: returns shape {tuple(value.shape)}, not a scalar"
    assert value >= 0, f"{label}: is {value}"
    value.backward()
    moved = [x.grad for x in output[:2] if x.grad is not None and x.grad.any()]
    assert moved, f"{label}: no gradient reaches the logits or the fused vector"
    for grad in moved:
        assert grad[:-2].any(1).all(), f"{label}: a sample gets no gradient"
        assert not grad[-2:].any(), f"{label}: a sample of weight 0 gets a gradient"
    _check_weights(label, part, output, target, value)
    half = Output(output.logits_NK.half(), output.z_ND.half(), {})
    gap = float((part(half, target) - value).abs().detach())
    assert gap < 0.01 * (1 + float(value.detach())), (
        f"{label}: half precision changes it by {gap:.2g}"
    )
    for extreme in (torch.full((8, 3), 1e4), torch.tensor([[6e4, -6e4, 0.0]]).expand(8, 3)):
        logits, z = extreme.clone().requires_grad_(), torch.randn(8, 16, requires_grad=True)
        cost = part(Output(logits, z, {}), target)
        assert torch.isfinite(cost) and cost >= 0, f"{label}: is {cost} for logits of 10^4"
        cost.backward()
        finite = all(torch.isfinite(x.grad).all() for x in (logits, z) if x.grad is not None)
        assert finite, f"{label}: has no finite gradient for logits of 10^4"


def _check_weights(
    label: str, part: Any, output: Output, target: Target, value: torch.Tensor
) -> None:
    """Check weights of 0, scaled ones, and a batch without any."""
    for garbage in (100.0, torch.nan):
        strange = [torch.cat([x[:-2], torch.full_like(x[:2], garbage)]) for x in output[:2]]
        turned = target._replace(
            prob_NK=torch.cat([target.prob_NK[:-2], torch.zeros(2, 3)]),
            weak_N=torch.cat([target.weak_N[:-2], ~target.weak_N[-2:]]),
        )
        other = part(Output(strange[0], strange[1], {}), turned)
        check_same(label, "a sample of weight 0 must change nothing", other, value)
    fewer = Output(output.logits_NK[:-2], output.z_ND[:-2], {})
    cut = part(fewer, Target(*(x[:-2] for x in target)))
    check_same(label, "a sample of weight 0 must not be counted", cut, value)
    for scale in (1e-6, 1e6):
        scaled = target._replace(weight_N=target.weight_N * scale)
        check_same(label, "scaling all weights must change nothing", part(output, scaled), value)
    logits = output.logits_NK.detach().clone().requires_grad_()
    z = output.z_ND.detach().clone().requires_grad_()
    nothing = part(Output(logits, z, {}), target._replace(weight_N=torch.zeros(8)))
    cost = float(nothing.detach())
    assert cost == 0, f"{label}: a batch without any weight costs {cost}, not 0"
    nothing.backward()
    for x in (logits, z):
        still = x.grad is None or (torch.isfinite(x.grad).all() and not x.grad.any())
        assert still, f"{label}: a batch without any weight has a gradient"


def _batch() -> tuple[Output, Target]:
    """Return eight samples, gold and weak, two of each class, and two of weight 0."""
    labels = torch.tensor([0, 0, 1, 1, 2, 2, 0, 1])
    soft = 0.7 * nn.functional.one_hot(labels, 3) + 0.1
    weak = torch.tensor([False, True] * 4)
    prob = torch.where(weak[:, None], soft, nn.functional.one_hot(labels, 3))
    weight = torch.tensor([1.0, 0.5, 1.0, 0.2, 2.0, 1.0, 0.0, 0.0])
    logits, z = torch.randn(8, 3, requires_grad=True), torch.randn(8, 16, requires_grad=True)
    return Output(logits, z, {}), Target(prob, weight, weak, torch.arange(8))


def check_same(label: str, promise: str, one: torch.Tensor, other: torch.Tensor) -> None:
    """Check that two results are finite and equal but for rounding.

    Args:
        label: What to call the part.
        promise: What would be broken.
        one: The result.
        other: What it must be.
    """
    assert torch.isfinite(one).all(), f"{label}: gives NaN or infinity ({promise})"
    gap = float((one - other).abs().max().detach()) if one.numel() else 0.0
    assert gap < 1e-4, f"{label}: {promise}, but the result changed by {gap:.2g}"


def check_reached(label: str, part: nn.Module, result: torch.Tensor) -> None:
    """Check that gradients reach every parameter.

    Args:
        label: What to call the part.
        part: The module.
        result: What it gave.
    """
    part.zero_grad()
    (result * torch.linspace(0.5, 1.5, result.numel()).view_as(result)).sum().backward()
    lost = [name for name, p in part.named_parameters() if p.grad is None or not p.grad.any()]
    assert not lost, f"{label}: no gradient reaches {', '.join(lost)}"


def _check_gradients(label: str, part: nn.Module, z: torch.Tensor) -> None:
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
