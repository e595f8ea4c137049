"""Signatures and dataclasses as schemas: everything is checked before anything is built.

A part's constructor *is* its schema, and a config section is a frozen dataclass. One `Checker`
walks both, fills the defaults in, and collects every problem instead of stopping at the first.
Single values are judged by pydantic in strict JSON mode (a string is no number, a list may be a
tuple), so that a YAML file means the same everywhere.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import json
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeGuard, TypeVar, cast, get_args, get_origin

from docstring_parser import parse as parse_docstring
from pydantic import TypeAdapter, ValidationError

from emoframe.core.component import Kind
from emoframe.core.errors import ComponentError, ConfigError, Problem, suggest

T = TypeVar("T")
MISSING = "???"
"""OmegaConf's mark for a value that the user has to give."""


@dataclass(frozen=True, slots=True)
class Part:
    """Marks a config field that holds a part: a mapping with `type` and that part's parameters."""

    kind: str


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a constructor or one field of a section.

    Attributes:
        name: As written in YAML.
        annotation: Its type, constraints included.
        default: Its default; `inspect.Parameter.empty` where it must be given.
        doc: What it means, from the docstring.
        wiring: Whether the model passes it, so that it is never written in YAML.
    """

    name: str
    annotation: Any
    default: Any
    doc: str = ""
    wiring: bool = False

    @property
    def required(self) -> bool:
        """Whether it has no default."""
        return self.default is inspect.Parameter.empty


@functools.cache
def parameters(cls: type[Any], kind: Kind) -> dict[str, Parameter]:
    """Read the parameters of a part from its constructor.

    Raises:
        ComponentError: The constructor takes positional or `**` parameters, or lacks annotations.
    """
    init = cls.__init__
    if init is object.__init__:
        return {}
    where = f"{kind.name} {cls.__name__}"
    try:
        hints = typing.get_type_hints(init, include_extras=True)
    except NameError as error:
        raise ComponentError(
            f"{where}: the annotation {error.name!r} cannot be resolved; import its name at the "
            "top of the module, outside of TYPE_CHECKING"
        ) from error
    docs = _docs(cls, init)
    found: dict[str, Parameter] = {}
    for param in list(inspect.signature(init).parameters.values())[1:]:
        if param.kind is not param.KEYWORD_ONLY:
            raise ComponentError(
                f"{where}: parameter {str(param)!r} must be keyword-only and named "
                "(write `def __init__(self, *, ...)`; `*args` and `**kwargs` hide what is allowed)"
            )
        if param.name not in hints:
            raise ComponentError(f"{where}: parameter {param.name!r} has no type annotation")
        found[param.name] = Parameter(
            param.name,
            hints[param.name],
            param.default,
            docs.get(param.name, ""),
            param.name in kind.wiring,
        )
    return found


@functools.cache
def fields(section: type[Any]) -> dict[str, Parameter]:
    """Read the fields of a section, a dataclass, with their docs."""
    hints = typing.get_type_hints(section, include_extras=True)
    docs = _docs(section)
    found: dict[str, Parameter] = {}
    for item in dataclasses.fields(section):
        default: Any = item.default
        if item.default_factory is not dataclasses.MISSING:
            default = item.default_factory()
        elif default is dataclasses.MISSING:
            default = inspect.Parameter.empty
        found[item.name] = Parameter(item.name, hints[item.name], default, docs.get(item.name, ""))
    return found


def _docs(*documented: object) -> dict[str, str]:
    """Collect what docstrings say of each parameter or attribute."""
    found: dict[str, str] = {}
    for thing in documented:
        for param in parse_docstring(inspect.getdoc(thing) or "").params:
            found[param.arg_name] = " ".join((param.description or "").split())
    return found


def describe(annotation: Any) -> str:
    """Name a type as a person would: `int > 0`, `'cls' | 'mean'`, `list of float`."""
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        bounds = " and ".join(_bound(m) for m in args[1:] if _bound(m))
        return f"{describe(args[0])} {bounds}".strip()
    if origin is Literal:
        return " | ".join(repr(value) for value in args)
    if origin in (types.UnionType, typing.Union):
        return " | ".join(describe(arg) for arg in args)
    if annotation is type(None):
        return "null"
    if args:
        inner = ", ".join(describe(arg) for arg in args if arg is not ...)
        return f"{getattr(origin, '__name__', origin)} of {inner}"
    return getattr(annotation, "__name__", str(annotation))


def _bound(mark: Any) -> str:
    signs = {"gt": ">", "ge": ">=", "lt": "<", "le": "<="}
    parts = [f"{sign} {getattr(mark, key)}" for key, sign in signs.items() if hasattr(mark, key)]
    return " and ".join(parts)


def is_mapping(value: Any) -> TypeGuard[Mapping[str, Any]]:
    """Whether a value is a mapping; YAML's keys are strings."""
    return isinstance(value, Mapping)


def part_of(annotation: Any) -> Part | None:
    """Return the `Part` mark of an annotation, if it has one."""
    if get_origin(annotation) is Annotated:
        return next((mark for mark in get_args(annotation)[1:] if isinstance(mark, Part)), None)
    return None


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
        if dataclasses.is_dataclass(annotation) and isinstance(annotation, type):
            return self.section(annotation, value, path)
        origin, args = get_origin(annotation), get_args(annotation)
        if origin in (types.UnionType, typing.Union) and any(_nested(arg) for arg in args):
            if value is None and type(None) in args:
                return None
            return self.value(next(arg for arg in args if _nested(arg)), value, path)
        if origin is dict and _nested(args[1]):
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
    ) -> dict[str, Any]:
        if not is_mapping(value):
            self.note(path, f"must be a mapping with {', '.join(known)}; got {value!r}")
            return {}
        dot = f"{path}." if path else ""
        for key in value:
            if key not in known:
                takes = f"{owner or path or 'it'} takes {', '.join(known) or 'no parameters'}"
                self.note(f"{dot}{key}", f"unknown{suggest(str(key), list(known))} ({takes})")
        filled: dict[str, Any] = {}
        for name, param in known.items():
            if name in value and value[name] != MISSING:
                filled[name] = self.value(param.annotation, value[name], f"{dot}{name}")
            elif param.required or name in value:
                self.note(f"{dot}{name}", f"is required: {param.doc or describe(param.annotation)}")
            else:
                filled[name] = self._default(param, f"{dot}{name}")
        return filled

    def _default(self, param: Parameter, path: str) -> Any:
        """Fill the parameters of a default part in, too."""
        if part_of(param.annotation) and is_mapping(param.default):
            return self.value(param.annotation, param.default, path)
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
    return TypeAdapter(annotation)


def _nested(annotation: Any) -> bool:
    """Whether an annotation holds a section or a part somewhere inside."""
    if part_of(annotation) or dataclasses.is_dataclass(annotation):
        return True
    return any(_nested(arg) for arg in get_args(annotation) if arg is not ...)


def plain(value: Any) -> Any:
    """Turn sections into plain data that YAML can hold."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if is_mapping(value):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in cast("Sequence[Any]", value)]
    return str(value) if hasattr(value, "__fspath__") else value
