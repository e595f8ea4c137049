"""Pages from the registries: what a part is, takes and needs, read from the part itself.

One index per kind, one page per part, and one reference each for the config, the commands and the
hooks, so that nothing registered can lack a page and nothing on a page can be out of date.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args, get_origin

import yaml
from docstring_parser import parse as parse_docstring
from jinja2 import Environment, PackageLoader, StrictUndefined

from emoframe.core import hookspecs
from emoframe.core.component import KINDS
from emoframe.core.errors import ComponentError
from emoframe.core.registry import registry
from emoframe.core.schema import Parameter, describe, fields, kind_of, parameters, plain
from emoframe.core.source import locate


def describe_part(kind: str, name: str) -> dict[str, Any]:
    """Return everything that is known of a part; parameters only where it can be imported.

    Raises:
        ComponentError: There is no such part.
    """
    parts = registry(kind)
    offer = parts.offer(name)
    source = locate(offer)
    component = offer.component
    problem = ""
    try:
        known = parameters(parts.get(name), parts.kind)
    except ComponentError as error:
        known, problem = {}, str(error)
    example = {"type": name, **plain(component.example)}
    return {
        "kind": kind,
        "name": name,
        "summary": source.summary,
        "doc": _prose(source.doc),
        "problem": problem,
        "parameters": [_row(param) for param in known.values()],
        "call": parts.kind.call,
        "source": _short(source.file),
        "line": source.line,
        "provider": offer.distribution,
        "needs": ", ".join(component.needs),
        "paper": component.paper,
        "license": component.license,
        "weights": component.weights_license,
        "example": yaml.safe_dump({kind: example}, sort_keys=False).rstrip(),
    }


def _row(param: Parameter) -> dict[str, str]:
    default = "required" if param.required else str(plain(param.default))
    return {
        "parameter": param.name,
        "type": _type(param.annotation),
        "default": "from the model" if param.wiring else default,
        "meaning": param.doc,
    }


def _prose(doc: str) -> str:
    """Return the long part of a docstring: description and shape, without the parameters."""
    parsed = parse_docstring(doc)
    shape = doc.partition("Shape:\n")[2]
    lines = [line.strip() for line in shape.split("\n\n")[0].splitlines()]
    long = parsed.long_description or ""
    return "\n\n".join(filter(None, [long.partition("Shape:")[0].strip(), "\n".join(lines)]))


def _short(file: str) -> str:
    """Return a source path from its package on, so that pages are the same on every machine."""
    parts = Path(file).parts
    roots = [n for n, part in enumerate(parts) if part.startswith("emoframe") and part != parts[-1]]
    package = [n for n in roots if (Path(*parts[: n + 1]) / "__init__.py").is_file()]
    return "/".join(parts[package[0] :]) if package else Path(file).name


def config_rows(section: type[Any], path: str = "") -> Iterator[dict[str, str]]:
    """Yield one row per key of a config, nested sections included."""
    for name, param in fields(section).items():
        where = f"{path}.{name}" if path else name
        inner = _section_in(param.annotation)
        type_ = "section" if inner else _type(param.annotation)
        shown = "" if inner else "required" if param.required else str(plain(param.default))
        yield {"key": where, "type": type_, "default": shown, "meaning": param.doc}
        if inner:
            many = ".<name>" if "dict" in str(param.annotation) else ""
            yield from config_rows(inner, where + many)


def _type(annotation: Any) -> str:
    """Say what may stand there, in words."""
    kind = kind_of(annotation)
    if not kind:
        return describe(annotation)
    return f"{kind} by name" if get_origin(annotation) is dict else f"a {kind}"


def _section_in(annotation: Any) -> type[Any] | None:
    candidates = (annotation, *get_args(annotation))
    return next(
        (c for c in candidates if dataclasses.is_dataclass(c) and isinstance(c, type)), None
    )


def hook_rows() -> list[dict[str, str]]:
    """Return one row per hook of emoframe."""
    hooks = [f for name, f in vars(hookspecs).items() if name.startswith("emoframe_")]
    return [
        {
            "hook": f"{hook.__name__}{inspect.signature(hook)}".replace("'", ""),
            "meaning": inspect.getdoc(hook) or "",
        }
        for hook in hooks
    ]


def command_rows() -> list[dict[str, str]]:
    """Return one row per command, with its usage."""
    import typer.main

    from emoframe.cli.app import build_app

    return list(_commands("emoframe", typer.main.get_command(build_app())))


def _commands(name: str, command: Any) -> Iterator[dict[str, str]]:
    """Yield a row for a command, or for every command of a group."""
    if hasattr(command, "commands"):
        for inner, found in command.commands.items():
            yield from _commands(f"{name} {inner}", found)
        return
    yield {
        "command": name,
        "meaning": command.help or "",
        "usage": " ".join(_usage(p) for p in command.params if p.name != "help"),
    }


def _usage(param: Any) -> str:
    if param.param_type_name == "argument":
        text = param.name.upper()
    else:
        text = param.opts[0] if param.is_flag else f"{param.opts[0]} {param.name.upper()}"
    return text if param.required else f"[{text}]"


def pages() -> dict[str, str]:
    """Return every generated page by its path below the docs folder."""
    from emoframe.learning.experiment import Experiment

    templates = Environment(
        loader=PackageLoader("emoframe", "templates"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    templates.filters["cell"] = lambda text: str(text).replace("|", "\\|").replace("\n", " ")
    made: dict[str, str] = {}
    for kind in KINDS.values():
        parts = [describe_part(kind.name, name) for name in registry(kind.name).names()]
        made[f"components/{kind.name}/index.md"] = templates.get_template("kind.md").render(
            kind=kind, parts=parts
        )
        for part in parts:
            made[f"components/{kind.name}/{part['name']}.md"] = templates.get_template(
                "component.md"
            ).render(part)
    context: Mapping[str, Any] = {
        "kinds": KINDS.values(),
        "config": list(config_rows(Experiment)),
        "hooks": hook_rows(),
        "commands": command_rows(),
    }
    made["components/index.md"] = templates.get_template("reference.md").render(context)
    return made


def write(folder: Path) -> list[Path]:
    """Write the generated pages below a folder and remove those whose part is gone."""
    made = {folder / path: text for path, text in pages().items()}
    for path, text in made.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    for stale in set((folder / "components").rglob("*.md")) - set(made):
        stale.unlink()
    return sorted(made)
