"""Fusion heads join what is there; what is missing has no say, in any of them."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from emoframe.core.errors import DataError
from emoframe.core.registry import build, registry
from emoframe.learning.dropout import drop_modalities
from emoframe.learning.fusion_heads.cross_attention import CrossAttention
from emoframe.learning.fusion_heads.gated import Gated

DIMS = {"keypoints": 6, "frames": 4, "text": 5}
HEADS = registry("fusion_head").names()
Batch = tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]


def head(name: str, dims: dict[str, int] = DIMS, seed: int = 0) -> Any:
    torch.manual_seed(seed)
    size: dict[str, Any] = {} if name == "concat_residual" else {"dim": 8}
    return build("fusion_head", name, in_dims=dims, **size).eval()


def batch(dims: dict[str, int] = DIMS, count: int = 4) -> Batch:
    generator = torch.Generator().manual_seed(1)
    z = {name: torch.randn(count, dims[name], generator=generator) for name in sorted(dims)}
    return z, {name: torch.ones(count, dtype=torch.bool) for name in dims}


@pytest.mark.parametrize("name", HEADS)
@pytest.mark.parametrize("only", DIMS)
def test_one_branch_is_enough(name: str, only: str) -> None:
    dims = {only: DIMS[only]}
    fusion, (z, present) = head(name, dims), batch(dims)
    present[only][1] = False
    z[only][1] = torch.nan
    fused = fusion.train()(z, present)
    assert fused.shape == (4, fusion.out_dim)
    assert torch.isfinite(fused).all()


@pytest.mark.parametrize("name", HEADS)
@pytest.mark.parametrize("gone", [[*DIMS], ["text"], ["frames", "keypoints"]])
def test_a_batch_in_which_nobody_has_a_branch_trains(name: str, gone: list[str]) -> None:
    fusion, (z, present) = head(name).train(), batch()
    z = {n: x.requires_grad_() for n, x in z.items()}
    for branch in gone:
        present[branch] = torch.zeros(4, dtype=torch.bool)
    fusion(z, present).square().sum().backward()
    grads = [p.grad for p in fusion.parameters() if p.grad is not None]
    assert all(torch.isfinite(grad).all() for grad in grads)
    for branch, x in z.items():
        assert x.grad is not None
        assert bool(x.grad.any()) == (branch not in gone)


@pytest.mark.parametrize("name", HEADS)
def test_the_order_in_which_a_config_names_the_branches_changes_nothing(name: str) -> None:
    z, present = batch()
    present["frames"][0] = False
    turned = dict(reversed(DIMS.items()))
    one, other = head(name), head(name, turned)
    torch.testing.assert_close(other(z, present), one(z, present))
    moved = head(name, turned, seed=9)
    moved.load_state_dict(one.state_dict())
    torch.testing.assert_close(moved(z, present), one(z, present))


@pytest.mark.parametrize("name", HEADS)
def test_mixed_precision_gives_finite_vectors(name: str) -> None:
    fusion, (z, present) = head(name), batch()
    present = {branch: torch.tensor([True, False, False, True]) for branch in present}
    with torch.autocast("cpu", torch.bfloat16):
        fused = fusion({branch: x.bfloat16() for branch, x in z.items()}, present)
    assert torch.isfinite(fused).all()
    torch.testing.assert_close(fused.float(), fusion(z, present), atol=0.1, rtol=0.1)


@pytest.mark.parametrize("gate", ["softmax", "sigmoid"])
def test_gated_is_its_formula(gate: Any) -> None:
    torch.manual_seed(0)
    fusion, (z, present) = Gated(in_dims=DIMS, dim=8, gate=gate).eval(), batch(count=1)
    present["frames"][0] = False
    joined = torch.cat([torch.zeros(4), z["keypoints"][0], z["text"][0]])
    score = torch.stack([fusion.gates[n](joined) for n in ("keypoints", "text")])
    opened = score.sigmoid() if gate == "sigmoid" else score.exp() / score.exp().sum(0)
    fused = sum(
        share * fusion.projections[n](z[n][0])
        for share, n in zip(opened, ("keypoints", "text"), strict=True)
    )
    torch.testing.assert_close(fusion(z, present)[0], fused)


def test_gates_hear_every_branch() -> None:
    fusion, (z, present) = head("gated"), batch()
    with torch.no_grad():
        fusion.projections["text"].weight.zero_()  # so that it speaks through the gates alone
        fusion.projections["text"].bias.zero_()
    before = fusion(z, present)
    assert not torch.allclose(fusion(z | {"text": z["text"] * 2}, present), before)


def test_cross_attention_is_its_formula_over_the_branches_that_are_present() -> None:
    torch.manual_seed(0)
    fusion = CrossAttention(in_dims=DIMS, dim=8, heads=1).eval()
    z, present = batch(count=1)
    present["text"][0] = False
    names = sorted(DIMS)
    there = z | {"text": fusion.missing["text"][None]}
    x = torch.stack([fusion.projections[n](there[n][0]) for n in names])
    weight, bias = fusion.attention.in_proj_weight, fusion.attention.in_proj_bias
    query, key, value = (fusion.norm(x) @ weight.T + bias).split(8, -1)
    keys = [n for n, name in enumerate(names) if name != "text"]
    share = (query @ key[keys].T / 8**0.5).softmax(-1)
    mixed = fusion.attention.out_proj(share @ value[keys])
    torch.testing.assert_close(fusion(z, present)[0], (x + mixed).flatten())


def test_a_width_that_heads_do_not_divide_is_refused() -> None:
    with pytest.raises(DataError, match="dim 10 is no multiple of heads 4; change one of them"):
        CrossAttention(in_dims=DIMS, dim=10)


def masks(count: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(2)
    return {name: torch.rand(count, generator=generator) > 0.3 for name in DIMS}


@pytest.mark.parametrize("share", [0.0, 0.2, 0.7, 1.0])
def test_modality_dropout_leaves_everybody_an_input_and_gives_nobody_one(share: float) -> None:
    present = masks(2000)
    kept = drop_modalities(present, share)
    assert list(kept) == list(present)
    before, after = (torch.stack([*m.values()], 1) for m in (present, kept))
    assert not (after & ~before).any()
    assert torch.equal(after.any(1), before.any(1))
    if share == 1:
        assert after.sum(1).max() == 1


def test_modality_dropout_hides_each_branch_as_often_as_it_says() -> None:
    present = {name: torch.ones(100_000, dtype=torch.bool) for name in DIMS}
    kept = torch.stack([*drop_modalities(present, 0.3).values()], 1).double()
    # all three would go in .3^3 of the samples, and then one of them stays, each as likely
    torch.testing.assert_close(
        kept.mean(0), torch.full((3,), 0.7 + 0.3**3 / 3).double(), atol=0.006, rtol=0
    )
    lonely = torch.stack([*drop_modalities(present, 1.0).values()], 1).double()
    torch.testing.assert_close(lonely.mean(0), torch.full((3,), 1 / 3).double(), atol=0.006, rtol=0)


def test_modality_dropout_follows_the_seed_and_not_the_order_of_branches() -> None:
    present = masks(50)
    torch.manual_seed(3)
    one = drop_modalities(present, 0.5)
    torch.manual_seed(3)
    other = drop_modalities(dict(reversed(present.items())), 0.5)
    again = drop_modalities(present, 0.5, torch.Generator().manual_seed(3))
    assert all(torch.equal(one[n], other[n]) and torch.equal(one[n], again[n]) for n in one)
    assert any(not torch.equal(one[n], present[n]) for n in one)


def test_no_modality_dropout_draws_no_random_number() -> None:
    state = torch.random.get_rng_state()
    present = masks(10)
    assert all(drop_modalities(present, 0.0)[n] is present[n] for n in present)
    assert torch.equal(torch.random.get_rng_state(), state)
