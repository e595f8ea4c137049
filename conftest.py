"""What holds for all tests together: whatever they wrote, no key is in it."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

KEYS = re.compile(rb"a\dsecret\d")
"""Part of every key that a test uses, and of nothing else."""
LARGE = 2**26


@pytest.fixture(scope="session", autouse=True)
def no_key_is_written(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Search every store, log, config dump and report that the tests of this process made."""
    yield
    made = [path for path in tmp_path_factory.getbasetemp().rglob("*") if path.is_file()]
    small = [path for path in made if not path.is_symlink() and path.stat().st_size < LARGE]
    assert not [str(path) for path in small if KEYS.search(path.read_bytes())]
