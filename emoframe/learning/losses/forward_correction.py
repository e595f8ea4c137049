"""Forward correction (Patrini et al. 2017): weak labels are explained, not believed.

The model predicts the truth, and what a labeler makes of it is predicted by its measured noise
matrix T = P(weak | true). Decided here: only weak labels are corrected, gold ones are learned as by
`cross_entropy`; a matrix is refused from which nothing could be recovered, singular or one whose
labels point away from the truth, which nearly always are classes in another order.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from emoframe.core.errors import ComponentError
from emoframe.learning.losses.weights import shown, weighted_mean
from emoframe.records import Output, Target

WORST_CONDITION = 1e4
"""Above it, rows of the matrix differ by less than any count of labels could show."""


class ForwardCorrection(nn.Module):
    """Mean of -sum_j p_j log (T^T q)_j over weak samples, of -sum_k p_k log q_k over gold ones.

    The prediction q is of the true class. Weak targets are to be what the labeler says, not what is
    made of it: T was measured on labels, and corrects confidences wrongly that are calibrated.
    There is no `balanced`: a class weight on noisy labels would undo the correction.

    Args:
        num_classes: Number of classes K.
        noise_matrix: Rows P(weak = j | true = i), K x K, as `emoframe labels agree` measures it;
            None where it was not.

    Shape:
        logits_NK (N, K), prob_NK (N, K), weight_N (N,), weak_N (N,) -> scalar

    Raises:
        ComponentError: There is no noise matrix, or none that could be corrected for.
    """

    def __init__(
        self, *, num_classes: int, noise_matrix: Sequence[Sequence[float]] | None = None
    ) -> None:
        super().__init__()
        if noise_matrix is None:
            raise ComponentError(
                "loss forward_correction: it was given no P(weak | true); run `emoframe labels "
                "agree` first, which measures it, or take another loss: gce needs none, and where "
                "all labels are gold this one would be cross_entropy"
            )
        if fault := _fault(noise_matrix, num_classes):
            raise ComponentError(f"loss forward_correction: {fault}")
        self.log_noise_KK: torch.Tensor
        log_noise = torch.tensor(noise_matrix, dtype=torch.float32).log()
        self.register_buffer("log_noise_KK", log_noise, persistent=False)

    def forward(self, output: Output, target: Target) -> torch.Tensor:
        """Return the weighted mean loss."""
        log_q_NK = shown(output.logits_NK, target.weight_N).log_softmax(-1)
        # as a product of probabilities it would underflow, and autocast would halve its precision
        log_weak_NK = (log_q_NK[:, :, None] + self.log_noise_KK).logsumexp(1)
        log_NK = torch.where(target.weak_N[:, None], log_weak_NK, log_q_NK)
        loss_N = -(shown(target.prob_NK, target.weight_N) * log_NK).sum(-1)
        return weighted_mean(loss_N, target.weight_N)


def _fault(rows: Sequence[Sequence[float]], num_classes: int) -> str:
    """Say what is wrong with a noise matrix and what to do; nothing where it can be used."""
    again = "measure it again with `emoframe labels agree`"
    sizes = {len(row) for row in rows}
    if len(rows) != num_classes or sizes != {num_classes}:
        given = f"{len(rows)} rows of {', '.join(map(str, sorted(sizes))) or 'no'} numbers"
        return (
            f"the noise matrix has {given}; for {num_classes} classes it takes {num_classes} rows "
            f"P(weak | true) of {num_classes}; {again}"
        )
    noise_KK = torch.tensor(rows, dtype=torch.float64)
    for i, row in enumerate(noise_KK):
        if not (row >= 0).all() or abs(float(row.sum()) - 1) > 1e-4:
            return (
                f"row {i} of the noise matrix, P(weak | true = {i}), is {rows[i]}; it takes "
                f"probabilities that sum to 1; {again}"
            )
    if float(torch.linalg.cond(noise_KK)) > WORST_CONDITION:
        return (
            f"the noise matrix {rows} is singular: the labeler says of one class what it says of "
            "others, so that its labels tell nothing about it; leave these weak labels out"
        )
    return _disorder(noise_KK)


def _disorder(noise_KK: torch.Tensor) -> str:
    """Say which label is given more often where it is wrong than where it is right."""
    for label, column in enumerate(noise_KK.T):
        i = int(column.argmax())
        if i != label:
            return (
                f"label {label} is given in {column[i]:.3g} of the items of class {i} and in only "
                f"{column[label]:.3g} of those of class {label} (the noise matrix's column "
                f"{label}): such labels point away from the truth; look whether the classes stand "
                "in the same order in the data set and in the label store, or leave these weak "
                "labels out"
            )
    return ""
