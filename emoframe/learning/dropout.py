"""Modality dropout: a branch is hidden now and then, so that the others learn to do without.

Decided here: the fusion head is told that the input is missing, the same way as when it is, so that
what training hides and what a video lacks look alike. Nobody loses the last input that they have.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch


def drop_modalities(
    present: Mapping[str, torch.Tensor],
    share: float,
    generator: torch.Generator | None = None,
) -> dict[str, torch.Tensor]:
    """Hide present branches at random, for training.

    Each present branch of a sample is hidden with probability `share`; where that would hide all,
    one of them, each as likely, stays. Draws do not depend on the order of the branches, and a
    share of 0 draws nothing.

    Args:
        present: One mask_N per branch.
        share: Between 0 and 1; with 1, one branch of each sample stays.
        generator: Where random numbers come from, on the device of the masks; None takes torch's
            global one.

    Returns:
        One mask_N per branch, in the given order; what was missing stays so.
    """
    if not share or not present:
        return dict(present)
    names = sorted(present)
    mask_NB = torch.stack([present[name] for name in names], 1)
    draw_NB = torch.rand(mask_NB.shape, generator=generator, device=mask_NB.device)
    draw_NB = draw_NB.masked_fill(~mask_NB, -1)
    last_NB = draw_NB == draw_NB.amax(1, keepdim=True)  # of all that are drawn to go, it would last
    kept_NB = mask_NB & ((draw_NB >= share) | last_NB)
    return {name: kept_NB[:, names.index(name)] for name in present}
