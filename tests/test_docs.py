"""Nothing registered lacks a page, and no page is out of date."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from emoframe import docs
from emoframe.cli.app import COMMANDS
from emoframe.core.component import KINDS
from emoframe.core.plugins import loaded

ROOT = Path(__file__).parents[1] / "docs"


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    return docs.pages()


def test_every_part_kind_command_and_hook_has_its_place(pages: dict[str, str]) -> None:
    for kind, name in loaded().offers:
        assert f"components/{kind}/{name}.md" in pages
    assert {f"components/{kind}/index.md" for kind in KINDS} <= set(pages)
    reference = pages["components/index.md"]
    assert not [name for name in COMMANDS if f"`emoframe {name}" not in reference]
    hooks = [row["hook"].partition("(")[0] for row in docs.hook_rows()]
    assert len(hooks) == 4
    assert not [hook for hook in hooks if f"`{hook}(" not in reference]


def test_the_committed_pages_are_what_the_registries_say(pages: dict[str, str]) -> None:
    written = {
        path.relative_to(ROOT).as_posix(): path.read_text()
        for path in (ROOT / "components").rglob("*.md")
    }
    stale = [path for path in pages if written.get(path) != pages[path]]
    assert not stale, f"run `make docs` and commit: {stale}"
    assert set(written) == set(pages)


def test_a_page_names_no_path_of_this_machine(pages: dict[str, str]) -> None:
    assert not [
        path for path, text in pages.items() if str(Path.home()) in text or str(ROOT.parent) in text
    ]


def test_links_between_pages_lead_somewhere() -> None:
    for page in [*ROOT.rglob("*.md"), ROOT.parent / "README.md"]:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
