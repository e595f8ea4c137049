"""Checking a config against its schema: everything, at any depth, before anything is built.

One `Checker` walks sections and parts alike, fills the defaults in, and collects every problem
instead of stopping at the first. Single values are judged by pydantic in strict JSON mode (a string
is no number, a list may be a tuple), so that a YAML file means the same everywhere.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, get_args, get_origin

from pydantic import ConfigDict, TypeAdapter, ValidationError

from emoframe.core.errors import ComponentError, ConfigError, Problem, suggest
from emoframe.core.schema import (
    Parameter,
    describe,
    fields,
    is_mapping,
    parameters,
    part_of,
    plain,
    some_of,
)

MISSING = "???"
"""OmegaConf's mark for a value that the user has to give."""
T = TypeVar("T")


class Checker:
    """Walks a config against its schema and collects every problem.

    Args:
        where: Says where a path was written, as `file:line`.
    """

    def __init__(self, where: Callable[[str], str] = lambda path: "") -> None:
        self.where = where
        self.problems: list[Problem] = []

    def note(self, path: str, text: str) -> None:
        """Keep one problem."""
        self.problems.append(Problem(path, text, self.where(path)))

    def section(self, cls: type[T], value: Any, path: str = "") -> T | None:
        """Check a mapping against a dataclass.

        Returns:
            The instance with defaults filled in; None where anything below is wrong.
        """
        before = len(self.problems)
        known = fields(cls)
        relations = getattr(cls, "relations", None)  # what spans the keys of a section
        for problem in relations(value) if relations and is_mapping(value) else ():
            self.note(f"{path}.{problem.path}".strip("."), problem.text)
        filled = self._arguments(known, value, path, cls.__name__)
        if len(self.problems) > before:
            return None
        try:
            return cls(**filled)
        except ConfigError as error:  # a section may check its fields against each other
            for problem in error.problems:
                self.note(f"{path}.{problem.path}".strip("."), problem.text)
            return None

    def arguments(self, params: Mapping[str, Parameter], value: Any, path: str) -> dict[str, Any]:
        """Check the parameters of a part and fill the defaults in; wiring is left out."""
        return self._arguments({k: p for k, p in params.items() if not p.wiring}, value, path)

    def part(self, kind: str, value: Any, path: str) -> dict[str, Any] | None:
        """Check a part: its type is known, can be imported, and takes these parameters."""
        from emoframe.core.registry import registry  # the registry builds with this module

        parts = registry(kind)
        if not is_mapping(value) or not isinstance(value.get("type"), str):
            for key in value if is_mapping(value) else ():
                if hint := suggest(str(key), ["type"]):
                    self.note(f"{path}.{key}", f"unknown{hint}")
            self.note(
                path,
                f"must be a mapping with `type`, one of {', '.join(parts.names())}; got {value!r}",
            )
            return None
        name = value["type"]
        try:
            known = parameters(parts.get(name), parts.kind)
        except ComponentError as error:
            self.note(f"{path}.type", str(error))
            return None
        rest = {key: item for key, item in value.items() if key != "type"}
        allowed = {key: param for key, param in known.items() if not param.wiring}
        for key in [key for key in rest if key in known and known[key].wiring]:
            self.note(
                f"{path}.{key}",
                f"is passed by the model and cannot be set; {name} takes "
                f"{', '.join(allowed) or 'no parameters'}",
            )
            del rest[key]
        return {"type": name, **self._arguments(allowed, rest, path, name)}

    def value(self, annotation: Any, value: Any, path: str) -> Any:
        """Check one value of any annotated type."""
        if mark := part_of(annotation):
            return self.part(mark.kind, value, path)
        if some := some_of(annotation):
            return self._arguments(fields(some.section), value, path, whole=False)
        if dataclasses.is_dataclass(annotation) and isinstance(annotation, type):
            return self.section(annotation, value, path)
        origin, args = get_origin(annotation), get_args(annotation)
        if origin in (types.UnionType, typing.Union) and any(_nested(arg) for arg in args):
            if value is None and type(None) in args:
                return None
            return self.value(next(arg for arg in args if _nested(arg)), value, path)
        if origin is dict and _nested(args[1]):
            if value is None:  # takes all inherited entries away
                return {}
            return self._mapping(args[1], value, path)
        return self._leaf(annotation, value, path)

    def _mapping(self, annotation: Any, value: Any, path: str) -> dict[str, Any]:
        if not is_mapping(value):
            self.note(path, f"must be a mapping of names, got {value!r}")
            return {}
        return {
            str(key): self.value(annotation, item, f"{path}.{key}")
            for key, item in value.items()
            if item is not None  # `key: null` takes an inherited entry away
        }

    def _arguments(
        self,
        known: Mapping[str, Parameter],
        value: Any,
        path: str,
        owner: str = "",
        *,
        whole: bool = True,
    ) -> dict[str, Any]:
        if not is_mapping(value):
            self.note(path, f"must be a mapping with {', '.join(known)}; got {value!r}")
            return {}
        dot = f"{path}." if path else ""
        for key in value:
            if key not in known:
                takes = f"{owner or path or 'it'} takes {', '.join(known) or 'no parameters'}"
                near = suggest(str(key), [*known, "type" if path else "base"])
                self.note(f"{dot}{key}", f"unknown{near} ({takes})")
        filled: dict[str, Any] = {}
        for name, param in known.items():
            if name in value and value[name] != MISSING:
                filled[name] = self.value(param.annotation, value[name], f"{dot}{name}")
            elif not (whole or name in value):
                continue
            elif param.required or name in value:
                self.note(f"{dot}{name}", f"is required: {param.doc or describe(param.annotation)}")
            else:
                filled[name] = self._default(param, f"{dot}{name}")
        return filled

    def _default(self, param: Parameter, path: str) -> Any:
        """Fill the parameters of a default part in, too."""
        whole = is_mapping(param.default) or dataclasses.is_dataclass(param.default)
        if whole and _nested(param.annotation):
            return self.value(param.annotation, plain(param.default), path)
        return param.default

    def _leaf(self, annotation: Any, value: Any, path: str) -> Any:
        try:
            adapter = _adapter(annotation)
            return adapter.validate_json(json.dumps(plain(value)), strict=True)
        except ValidationError as error:
            first = error.errors()[0]
            inner = "".join(f"[{step!r}]" for step in first["loc"] if isinstance(step, int))
            self.note(f"{path}{inner}", f"must be {describe(annotation)}, got {value!r}")
        except (TypeError, ValueError):
            self.note(path, f"must be plain data ({describe(annotation)}), got {value!r}")
        return None


@functools.cache
def _adapter(annotation: Any) -> TypeAdapter[Any]:
    # not a number and infinity are accidents, never settings
    return TypeAdapter(annotation, config=ConfigDict(allow_inf_nan=False))


def _nested(annotation: Any) -> bool:
    """Whether an annotation holds a section or a part somewhere inside."""
    if part_of(annotation) or some_of(annotation):
        return True
    if isinstance(annotation, type) and dataclasses.is_dataclass(annotation):
        return True  # a bound such as Ge(0) is an instance of one
    return any(_nested(arg) for arg in get_args(annotation) if arg is not ...)
