"""Every registered part keeps the contract of its kind: tested by being registered."""

from __future__ import annotations

import pytest

from emoframe.core.component import KINDS
from emoframe.core.plugins import loaded
from emoframe.interfaces import PROTOCOLS
from emoframe.testing import check_component

PARTS = [
    (kind, name)
    for (kind, name), offers in sorted(loaded().offers.items())
    if not offers[0].distribution.endswith(".py")
]


@pytest.fixture(autouse=True)
def _no_downloads(monkeypatch: pytest.MonkeyPatch) -> None:
    """An example may name published weights, which a test must not fetch."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


@pytest.mark.parametrize(("kind", "name"), PARTS)
def test_a_registered_part_keeps_the_contract_of_its_kind(kind: str, name: str) -> None:
    check_component(kind, name)


def test_every_kind_has_a_protocol() -> None:
    assert set(PROTOCOLS) == set(KINDS)


def test_no_plugin_is_broken() -> None:
    assert not [plugin for plugin in loaded().plugins if plugin.error]
