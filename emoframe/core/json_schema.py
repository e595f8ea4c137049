"""The JSON Schema of a config over emoframe and all installed plugins, for editors."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from typing import Any, get_args, get_origin

from pydantic import TypeAdapter

from emoframe.core.component import KINDS
from emoframe.core.errors import ComponentError
from emoframe.core.registry import registry
from emoframe.core.schema import Parameter, fields, parameters, part_of, plain, some_of

NULL = {"type": "null"}
INTERPOLATION = {"type": "string", "pattern": r"^(\$\{.*|\?\?\?)"}
"""`${key}`, which is another value's, and `???`, which the user has to give."""


def json_schema(section: type[Any]) -> dict[str, Any]:
    """Return the JSON Schema of a section, parts of every installed plugin included."""
    schema = _section(section)
    schema["properties"]["base"] = {"description": "Configs that this one inherits from."}
    schema["required"] = []  # a file may inherit what it lacks
    parts = {kind: _any_part(kind) for kind in KINDS}  # by reference: parts may hold parts
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "$defs": parts}


def _section(section: type[Any]) -> dict[str, Any]:
    return _object(fields(section))


def _object(params: Mapping[str, Parameter]) -> dict[str, Any]:
    properties: dict[str, Any] = {}
    for name, param in params.items():
        properties[name] = _value(param.annotation)
        if param.doc:
            properties[name]["description"] = param.doc
        if not param.required:
            properties[name]["default"] = plain(param.default)
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _value(annotation: Any) -> dict[str, Any]:
    if mark := part_of(annotation):
        return {"$ref": f"#/$defs/{mark.kind}"}
    if some := some_of(annotation):
        return _section(some.section) | {"required": []}
    if dataclasses.is_dataclass(annotation) and isinstance(annotation, type):
        return _section(annotation)
    origin, args = get_origin(annotation), get_args(annotation)
    if origin in (types.UnionType, typing.Union):
        return {"anyOf": [_value(arg) for arg in args]}
    if origin is dict:  # null takes an inherited entry away
        entry = {"anyOf": [_value(args[1]), NULL]}
        return {"type": ["object", "null"], "additionalProperties": entry}
    leaf: Any = annotation
    return {"anyOf": [TypeAdapter[Any](leaf).json_schema(), INTERPOLATION]}


def _any_part(kind: str) -> dict[str, Any]:
    """Let `type` decide which parameters are allowed; where it is inherited, an editor cannot."""
    names = registry(kind).names()
    rules = [
        {
            "if": {"properties": {"type": {"const": name}}, "required": ["type"]},
            "then": _part(kind, name),
        }
        for name in names
    ]
    return {"type": "object", "properties": {"type": {"enum": names}}, "allOf": rules}


def _part(kind: str, name: str) -> dict[str, Any]:
    parts = registry(kind)
    try:
        known = parameters(parts.get(name), parts.kind)
    except ComponentError:  # its package is absent: the name is known, the parameters are not
        return {}
    schema = _object({key: param for key, param in known.items() if not param.wiring})
    schema["properties"]["type"] = {"const": name}
    return schema
