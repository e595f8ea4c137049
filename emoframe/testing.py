"""The contract of every kind, published: `check_component(kind, name)` for parts of your own.

emoframe's tests run it over everything that is registered, so a new part is tested by being
registered. It raises `AssertionError` with what was promised and what was seen.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import torch
from torch import nn

from emoframe.core.errors import ComponentError, EmoframeError
from emoframe.core.registry import create, registry
from emoframe.core.schema import parameters, plain
from emoframe.core.source import locate
from emoframe.interfaces import PROTOCOLS, Dataset
from emoframe.learning.checks import check_features, check_keypoints
from emoframe.learning.contract import (
    IN_DIMS,
    NOISE,
    check_fusion_head,
    check_loss,
    check_reached,
    check_same,
    check_text_encoder,
)
from emoframe.learning.data import check_refs
from emoframe.perception.contract import PERCEPTION_CHECKS
from emoframe.records import Features, Keypoints
from emoframe.weak_labels.contract import GOLD, LABELLING_CHECKS

N, T, V, C, D, K = 3, 7, 5, 11, 16, 3
WIRING: dict[str, Any] = {
    "device": "cpu",
    "num_joints": V,
    "in_channels": C,
    "edges": ((0, 1), (1, 2), (3, 4)),
    "in_dim": D,
    "in_dims": IN_DIMS,
    "num_classes": K,
    "class_counts": (5, 3, 2),
    "noise_matrix": NOISE,
    "gold": GOLD,
}


def check_component(kind: str, name: str) -> None:
    """Check that a registered part keeps the contract of its kind.

    Built from its example; constructor typed, keyword-only, without `**kwargs`; documented; the
    Protocol's methods are there and give what they promise. Modules as well: shapes; masked values
    change nothing; padding changes nothing; gradients reach every parameter; the state dict
    survives a round trip.

    Args:
        kind: The kind.
        name: The registered name; its `Component.example` must build a small instance.

    Raises:
        AssertionError: A promise is broken.
        EmoframeError: The part cannot be imported or built.
    """
    parts = registry(kind)
    cls = parts.get(name)
    label = f"{kind} {name!r}"
    documented = parameters(cls, parts.kind)  # refuses untyped, positional and ** parameters
    assert locate(parts.offer(name)).doc, f"{label}: {cls.__name__} has no docstring"
    bare = [param.name for param in documented.values() if not param.doc]
    assert not bare, f"{label}: the docstring does not say what {', '.join(bare)} means (Args:)"
    strange = set(getattr(cls, "not_in_key", ())) - set(documented)
    assert not strange, f"{label}: not_in_key names {min(strange)!r}, which is no parameter"
    part = _build(kind, name)
    lacking = [member for member in _members(kind) if not _has(part, member)]
    assert not lacking, f"{label}: lacks {', '.join(lacking)} of {PROTOCOLS[kind].__name__}"
    if kind == "dataset" and part.synthetic:
        check_dataset(part)
    if parts.kind.module:
        assert isinstance(part, nn.Module), f"{label}: is no torch.nn.Module"
        with suppress(*((ComponentError,) if kind == "text_encoder" else ())):  # no weights here
            _MODULE_CHECKS[kind](label, part.eval())
            _check_state_dict(label, kind, name)
    elif kind in _CALL_CHECKS:
        with suppress(EmoframeError):  # its weights are not here; the sentence is all there is
            _CALL_CHECKS[kind](label, part)


def check_part(kind: str, part: object) -> None:
    """Check that an instance of a part that needs weights does what its kind promises.

    Build one with small weights of your own and hand it over. Unlike in `check_component`, a part
    that cannot work is an error.

    Args:
        kind: `detector`, `pose_estimator`, `frame_encoder`, `vlm_labeler` or `text_encoder`.
        part: The instance; a text encoder that was not fitted yet, in evaluation mode.

    Raises:
        AssertionError: A promise is broken.
        EmoframeError: The part cannot work.
    """
    lacking = [member for member in _members(kind) if not _has(part, member)]
    assert not lacking, f"{kind}: lacks {', '.join(lacking)} of {PROTOCOLS[kind].__name__}"
    check = check_text_encoder if kind == "text_encoder" else _CALL_CHECKS[kind]
    check(f"{kind} {type(part).__name__}", part)


def check_dataset(dataset: Dataset) -> None:
    """Check that a data set whose files are there keeps its contract.

    Items in a fixed order; labels inside the classes for train and none for test; the sealed labels
    are of test items; no subject on both sides; keypoints that fit the layout and frame features
    that are one vector per token, missing ones masked.

    Args:
        dataset: The instance.

    Raises:
        AssertionError: A promise is broken.
        DataError: The items contradict one another.
    """
    train, test = dataset.samples("train"), dataset.samples("test")
    check_refs(train, test, dataset.classes, disjoint=getattr(dataset, "subject_disjoint", True))
    assert dataset.samples("train") == train, "samples('train') gives another order each time"
    strange = set(dataset.test_labels()) - {ref.id for ref in test}
    assert not strange, f"test_labels() names {min(strange)!r}, which is no test item"
    for ref in [*train[:3], *test[:3]]:
        for name, found in dataset.load(ref).items():
            known = isinstance(found, Keypoints | Features | str)
            assert known, f"load() returns {type(found).__name__} as {name!r}"
            if isinstance(found, Keypoints):
                assert dataset.layout is not None, "load() returns keypoints and `layout` is None"
                check_keypoints(found, dataset.layout, ref.id)
            elif isinstance(found, Features):
                check_features(found, None, ref.id)


def _members(kind: str) -> list[str]:
    """Return the attributes and methods that a kind's Protocol names."""
    protocol = PROTOCOLS[kind]
    names = {*vars(protocol), *protocol.__annotations__}
    return sorted(name for name in names if not name.startswith("_") or name == "__call__")


def _has(part: object, member: str) -> bool:
    """Whether a part has a member, without computing properties, which may read files."""
    try:
        inspect.getattr_static(part, member)
    except AttributeError:
        return False
    return True


def _build(kind: str, name: str, seed: int = 0) -> Any:
    torch.manual_seed(seed)
    example = plain(registry(kind).offer(name).component.example)
    return create(kind, {"type": name, **example}, WIRING)


def _masks(*shape: int) -> torch.Tensor:
    """A mask with holes; the last frame or token is all padding, the first is all valid."""
    mask = torch.rand(*shape, generator=torch.Generator().manual_seed(1)) > 0.3
    mask[:, 0], mask[:, -1] = True, False
    return mask


def _check_state_dict(label: str, kind: str, name: str) -> None:
    one, other = _build(kind, name), _build(kind, name, seed=1)
    with torch.no_grad():
        for parameter in one.parameters():
            parameter.add_(1.0)
    other.load_state_dict(one.state_dict())
    for key, value in one.state_dict().items():
        assert torch.equal(value, other.state_dict()[key]), f"{label}: {key} is not restored"


def _check_keypoint_backbone(label: str, part: Any) -> None:
    x, mask = torch.randn(N, T, V, C), _masks(N, T, V)
    h = part(x, mask)
    assert h.shape == (N, T, part.out_dim), (
        f"{label}: h_NTD has shape {tuple(h.shape)}, out_dim promises {(N, T, part.out_dim)}"
    )
    hidden = torch.where(mask[..., None], x, torch.randn(N, T, V, C) * 100)
    check_same(label, "masked values must change nothing", part(hidden, mask), h)
    check_same(label, "frames must not see one another", part(x[:, :3], mask[:, :3]), h[:, :3])
    check_reached(label, part, h)


def _check_temporal_encoder(label: str, part: Any) -> None:
    h, mask = torch.randn(N, T, D), _masks(N, T)
    time = torch.arange(T).expand(N, T) / 25.0
    tokens, span, valid = part(h, time, mask)
    assert tokens.shape == (N, valid.shape[1], part.out_dim), (
        f"{label}: h_NSD has shape {tuple(tokens.shape)}, mask_NS {tuple(valid.shape)} and "
        f"out_dim {part.out_dim}"
    )
    assert span.shape == (N, valid.shape[1], 2), f"{label}: span_NS2 has shape {tuple(span.shape)}"
    assert valid.dtype == torch.bool, f"{label}: mask_NS is {valid.dtype}, not bool"
    hidden = torch.where(mask[..., None], h, torch.randn(N, T, D) * 100)
    other, _, same = part(hidden, time, mask)
    assert torch.equal(valid, same), f"{label}: masked values change mask_NS"
    check_same(label, "masked values must change nothing", tokens[valid], other[valid])
    padded = part(
        nn.functional.pad(h, (0, 0, 0, 4), value=9.0),
        nn.functional.pad(time, (0, 4), value=9.0),
        nn.functional.pad(mask, (0, 4)),
    )
    check_same(label, "padding must change nothing", padded[0][padded[2]], tokens[valid])
    nothing = part(h, time, torch.zeros_like(mask))[0]
    assert torch.isfinite(nothing).all(), f"{label}: gives NaN for a clip without a valid frame"
    check_reached(label, part, tokens[valid])


def _check_pooling(label: str, part: Any) -> None:
    h, mask = torch.randn(N, T, D, requires_grad=True), _masks(N, T)
    z, weight = part(h, mask)
    assert z.shape[0] == N and z.ndim == 2, f"{label}: z_ND has shape {tuple(z.shape)}"
    assert weight.shape == (N, T), f"{label}: weight_NS has shape {tuple(weight.shape)}"
    assert not weight[~mask].any(), f"{label}: a masked token has weight"
    check_same(label, "weights must sum to one", weight.sum(1), torch.ones(N))
    hidden = torch.where(mask[..., None], h, torch.full((N, T, D), torch.nan))
    check_same(label, "masked values must change nothing", part(hidden, mask)[0], z)
    padded = nn.functional.pad(h, (0, 0, 0, 4)), nn.functional.pad(mask, (0, 4))
    check_same(label, "padding must change nothing", part(*padded)[0], z)
    assert torch.isfinite(part(h, torch.zeros_like(mask))[0]).all(), f"{label}: NaN for no token"
    check_reached(label, part, z)


_CALL_CHECKS: dict[str, Callable[[str, Any], None]] = PERCEPTION_CHECKS | LABELLING_CHECKS
_MODULE_CHECKS: dict[str, Callable[[str, Any], None]] = {
    "keypoint_backbone": _check_keypoint_backbone,
    "temporal_encoder": _check_temporal_encoder,
    "pooling": _check_pooling,
    "fusion_head": check_fusion_head,
    "loss": check_loss,
    "text_encoder": check_text_encoder,
}
