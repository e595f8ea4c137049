"""Where a part's class stands and what it says of itself, read without importing its module.

Listing and linking parts must not cost the import of torch, nor fail where a package is absent.
"""

from __future__ import annotations

import ast
import importlib.util
import inspect
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emoframe.core.plugins import Offer


@dataclass(frozen=True, slots=True)
class Source:
    """Where a class is defined.

    Attributes:
        file: The Python file; empty where it cannot be found.
        line: Line of the class.
        doc: Its docstring.
    """

    file: str
    line: int
    doc: str

    @property
    def summary(self) -> str:
        """First line of the docstring."""
        return self.doc.strip().split("\n")[0]


def locate(offer: Offer) -> Source:
    """Find the class of an offered part."""
    if offer.cls is not None:
        return _inspected(offer.cls)
    module, _, name = offer.component.target.partition(":")
    file = _file(module)
    if file is None:
        return Source("", 0, "")
    try:
        body = ast.parse(file.read_text(encoding="utf-8")).body
    except (SyntaxError, ValueError):  # using the part says what is wrong with it
        body = []
    for node in body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            return Source(str(file), node.lineno, ast.get_docstring(node) or "")
    return Source(str(file), 0, "")


def _file(module: str) -> Path | None:
    """Find the file of a module; only its top package is looked up, so that nothing is imported."""
    top, *rest = module.split(".")
    spec = importlib.util.find_spec(top)
    if spec is None or spec.origin is None:
        return None
    if not rest:
        return Path(spec.origin)
    path = Path(spec.origin).parent.joinpath(*rest)
    files = (path.with_suffix(".py"), path / "__init__.py")
    return next((file for file in files if file.is_file()), None)


def _inspected(cls: type[Any]) -> Source:
    doc = inspect.cleandoc(cls.__doc__ or "")  # a parent's docstring says nothing of it
    try:
        return Source(inspect.getsourcefile(cls) or "", inspect.getsourcelines(cls)[1], doc)
    except (OSError, TypeError):  # classes of an interactive session have no file
        return Source("", 0, doc)
