"""The example keeps the contract that it teaches."""

from __future__ import annotations

from emoframe.testing import check_component


def test_deep_sets_keeps_the_contract_of_its_kind() -> None:
    check_component("keypoint_backbone", "deep_sets")
