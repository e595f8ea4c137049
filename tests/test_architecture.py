"""Walls that import-linter does not see: single imports, start-up, and what plugins may touch."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = sorted((ROOT / "emoframe").rglob("*.py"))
PLUGINS = [
    path for path in sorted((ROOT / "plugins").glob("*/**/*.py")) if "tests" not in path.parts
]
PUBLIC = {
    "emoframe", "emoframe.interfaces", "emoframe.labelling", "emoframe.records",
    "emoframe.skeleton", "emoframe.testing",
}  # fmt: skip
BELOW_PLUGINS = {
    "ultralytics", "transformers", "google", "openai", "mediapipe", "onnxruntime", "rtmlib",
}  # fmt: skip


def imports(path: Path) -> Iterator[str]:
    """Yield every module that a file imports, at any depth."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module


def test_only_the_runner_imports_mmengines_runner() -> None:
    users = [p.name for p in PACKAGE if any(i.startswith("mmengine.runner") for i in imports(p))]
    assert users == ["runner.py"]


def test_core_never_imports_torch() -> None:
    core = [path for path in PACKAGE if "core" in path.parts]
    assert not [p.name for p in core if any(i.split(".")[0] == "torch" for i in imports(p))]


@pytest.mark.parametrize("library", sorted(BELOW_PLUGINS))
def test_wrapped_libraries_are_imported_only_below_plugins(library: str) -> None:
    users = [p.name for p in PACKAGE if any(i.split(".")[0] == library for i in imports(p))]
    assert not [name for name in users if name != "doctor.py"]


@pytest.mark.parametrize("path", PLUGINS, ids=lambda path: f"{path.parts[-3]}-{path.name}")
def test_plugins_import_only_the_public_api(path: Path) -> None:
    touched = {name for name in imports(path) if name.split(".")[0] == "emoframe"}
    assert touched <= PUBLIC


@pytest.mark.parametrize("path", [*PACKAGE, *PLUGINS], ids=lambda path: path.name)
def test_a_module_holds_one_idea(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 300
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef):
            assert node.end_lineno is not None
            assert node.end_lineno - node.lineno < 60, node.name


@pytest.mark.parametrize("path", [*PACKAGE, *PLUGINS], ids=lambda path: path.name)
def test_no_module_has_a_name_that_says_nothing(path: Path) -> None:
    assert path.stem not in {"utils", "util", "common", "helpers", "base", "misc"}
