"""Reads the YAML files that say what a model is asked: codebooks, prior rules, prompts, words.

They have no part in the merging of configs, and each is a model of pydantic. Decided here: every
scalar stays text, since `1`, `on` and `1e3` are codes like any other; a key that is given twice is
a mistake, where plain YAML would take the last one; aliases are refused, so that a small file
cannot unfold into a large one; every mistake names file and line, all of a file at once.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError
from yaml.composer import ComposerError
from yaml.constructor import ConstructorError

from emoframe.core.errors import DataError, suggest

M = TypeVar("M", bound=BaseModel)
Place = tuple[str | int, ...]
Words = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
"""Text that says something."""
FOLDER = Path(__file__).parent


class Plain(BaseModel):
    """Data of a file: nothing unknown, never changed."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class _Loader(yaml.BaseLoader):
    """Constructs nothing but text, lists and mappings."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark
            raise ComposerError(None, None, "aliases (*name) are not read here", mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        given: set[str] = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if key.value in given:
                raise ConstructorError(None, None, f"{key.value!r} is given twice", key.start_mark)
            given.add(key.value)
        return super().construct_mapping(node, deep)


def shipped(folder: str) -> list[str]:
    """Return the names of the files that emoframe ships in one of this package's folders."""
    return sorted(path.stem for path in (FOLDER / folder).glob("*.yaml"))


def read(model: type[M], name: str, folder: str, what: str) -> M:
    """Read a shipped file by its name, or the user's own by its path.

    Args:
        model: What it holds.
        name: The name, or the path of a YAML file. A shipped name means the shipped file, whatever
            lies in the current folder.
        folder: Where such files are shipped.
        what: What it is called in messages.

    Raises:
        DataError: There is no such file, or it does not hold what it should.
    """
    known = shipped(folder)
    path = FOLDER / folder / f"{name}.yaml" if name in known else Path(name).expanduser()
    try:
        there = path.is_file()
    except OSError:  # too long for a name, such as a whole prompt where its file is wanted
        there = False
    if not there:
        raise DataError(
            f"there is no {what} {name[:100]!r}{suggest(name, known)} (shipped: "
            f"{', '.join(known)}; or give the path of a YAML file)"
        )
    return read_file(model, path, what)


def read_file(model: type[M], path: Path, what: str) -> M:
    """Read one file.

    Raises:
        DataError: It cannot be read or does not hold what it should.
    """
    try:
        text = path.read_text(encoding="utf-8")
        loader = _Loader(text)
        node = loader.get_single_node()
        data = loader.construct_document(node) if node else None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise DataError(f"{path}:{line}: this {what} is no YAML: {error.problem}") from error
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        raise DataError(f"{path}: this {what} cannot be read as YAML: {error}") from error
    except RecursionError as error:
        raise DataError(f"{path}: this {what} is nested too deeply") from error
    if not isinstance(data, dict):
        allowed = ", ".join(model.model_fields)
        raise DataError(f"{path}: a {what} must be a mapping with the keys {allowed}")
    try:
        return model.model_validate(data)
    except ValidationError as error:
        lines = _lines(node)
        problems = [_problem(model, item, path, lines) for item in error.errors()]
        raise DataError("\n".join(problems)) from error


def _lines(node: yaml.Node | None, place: Place = ()) -> dict[Place, int]:
    found: dict[Place, int] = {}
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            inner = (*place, str(key.value))
            found |= {inner: key.start_mark.line + 1} | _lines(value, inner)
    elif isinstance(node, yaml.SequenceNode):
        for number, value in enumerate(node.value):
            inner = (*place, number)
            found |= {inner: value.start_mark.line + 1} | _lines(value, inner)
    return found


def _problem(model: type[BaseModel], item: Any, path: Path, lines: dict[Place, int]) -> str:
    """Put one complaint of pydantic into a sentence with its file and line."""
    place = tuple(step for step in item["loc"] if step != "[key]")
    nearest = next((place[:n] for n in range(len(place), 0, -1) if place[:n] in lines), ())
    known = [*model.model_fields]
    text: str = {
        "missing": "is missing",
        "string_too_short": "is empty",
        "extra_forbidden": f"is unknown{suggest(str(place[0]), known) if len(place) == 1 else ''}",
        "string_type": "must be text",
        "dict_type": "must be a mapping of keys to values",
        "model_type": "must be a mapping of keys to values",
        "list_type": "must be a list",
        "tuple_type": "must be a list",
    }.get(item["type"]) or str(item["msg"]).removeprefix("Value error, ")
    text = text.replace("Input should be", "must be")
    where = ".".join(str(step) for step in place)
    return f"{path}:{lines.get(nearest, 1)}: {where} {text}".replace(":  ", ": ")
