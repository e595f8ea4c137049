"""Signatures and dataclasses as schemas.

A part's constructor *is* its schema, and a config section is a frozen dataclass: what is allowed,
what the default is and what it means are read from there and written nowhere else.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeGuard, TypeVar, cast, get_args, get_origin

from docstring_parser import parse as parse_docstring

from emoframe.core.component import Kind
from emoframe.core.errors import ComponentError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Part:
    """Marks a config field that holds a part: a mapping with `type` and that part's parameters."""

    kind: str


@dataclass(frozen=True, slots=True)
class Some:
    """Marks a config field that holds some keys of a section, to be laid over another one."""

    section: type[Any]


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
    if init is object.__init__ or init.__module__.startswith("torch."):
        return {}  # an inherited constructor without parameters of its own
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


def kind_of(annotation: Any) -> str | None:
    """Return the kind of a field that holds a part, optional ones included."""
    marks = [part_of(candidate) for candidate in (annotation, *get_args(annotation))]
    return next((mark.kind for mark in marks if mark), None)


def is_mapping(value: Any) -> TypeGuard[Mapping[str, Any]]:
    """Whether a value is a mapping; YAML's keys are strings."""
    return isinstance(value, Mapping)


def part_of(annotation: Any) -> Part | None:
    """Return the `Part` mark of an annotation, if it has one itself."""
    return _mark(annotation, Part)


def some_of(annotation: Any) -> Some | None:
    """Return the `Some` mark of an annotation, if it has one itself."""
    return _mark(annotation, Some)


def _mark(annotation: Any, sort: type[T]) -> T | None:
    if get_origin(annotation) is Annotated:
        return next((mark for mark in get_args(annotation)[1:] if isinstance(mark, sort)), None)
    return None


def plain(value: Any) -> Any:
    """Turn sections into plain data that YAML can hold."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if is_mapping(value):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in cast("Sequence[Any]", value)]
    return str(value) if hasattr(value, "__fspath__") else value
