"""YAML files with `base:` inheritance and `key=value` overrides, and where each value came from.

Only YAML: a config file must not be able to run code. Files are merged as plain data before
interpolations are resolved, by one rule: a mapping whose `type` changes is *replaced*, so that a
swapped part never keeps the parameters of the old one. Overrides pass the same checks as files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, cast

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from emoframe.core.checker import Checker
from emoframe.core.errors import ConfigError, EmoframeError, Problem, suggest
from emoframe.core.plugins import loaded
from emoframe.core.schema import is_mapping, plain

COMMAND_LINE = "command line"
T = TypeVar("T")


@dataclass
class Config:
    """Merged, unchecked config data with the origin of each value.

    Attributes:
        data: Plain data.
        origins: `file:line` by dotted path.
        files: Every file that was read, the outermost last.
    """

    data: dict[str, Any] = field(default_factory=lambda: {})
    origins: dict[str, str] = field(default_factory=lambda: {})
    files: list[Path] = field(default_factory=lambda: [])

    def where(self, path: str) -> str:
        """Say where a path was written; a missing key is placed at its nearest parent."""
        while path and path not in self.origins:
            path = path.rpartition(".")[0]
        return self.origins.get(path, str(self.files[-1].name) if self.files else "")

    def over(self, base: Config) -> Config:
        """Lay this config over another."""
        return Config(
            merge(base.data, self.data), base.origins | self.origins, base.files + self.files
        )


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Merge two mappings; one whose `type` changes replaces the old one whole."""
    merged = dict(base)
    for key, value in over.items():
        old = merged.get(key)
        if is_mapping(old) and is_mapping(value):
            swapped = "type" in value and old.get("type", value["type"]) != value["type"]
            merged[key] = dict(value) if swapped else merge(old, value)
        else:
            merged[key] = value
    return merged


def find(name: str | Path, child: Path | None = None) -> Path:
    """Find a config by path, or by name among the configs that emoframe and its plugins ship.

    Args:
        name: The path or name.
        child: The config that inherits from it: its folder is looked at first, and a file that has
            the name of a shipped config may inherit from that one.

    Raises:
        EmoframeError: There is none.
    """
    folders = [*([child.parent] if child else []), Path(), *shipped()]
    for folder in folders:
        for candidate in (folder / name, folder / f"{name}.yaml"):
            if candidate.is_file() and not (child and candidate.samefile(child)):
                return candidate
    known = sorted(str(p.relative_to(f)) for f in shipped() for p in f.rglob("*.yaml"))
    raise EmoframeError(
        f"there is no config {str(name)!r}{suggest(str(name), known)} "
        f"(shipped: {', '.join(known) or 'none'})"
    )


def shipped() -> list[Path]:
    """Return the config folders of emoframe and its plugins."""
    found: list[Path] = []
    for plugin, folders in loaded().results("emoframe_configs"):
        try:
            found += [Path(folder) for folder in folders]
        except TypeError as error:
            plugin.error = f"emoframe_configs must return a list of folders: {error}"
    return found


def load(name: str | Path, overrides: Sequence[str] = ()) -> Config:
    """Read a config with everything that it inherits, and lay overrides over it.

    Raises:
        ConfigError: A file is no YAML mapping, a base is missing, or an override is malformed.
    """
    config = _read(find(name), ())
    return layer(overrides).over(config) if overrides else config


def check(section: type[T], config: Config) -> T:
    """Turn a config into a typed section, with all defaults filled in.

    Raises:
        ConfigError: With everything that is wrong, at any depth.
    """
    checker = Checker(config.where)
    # environment variables hold keys, and what a config resolves to is written to disk
    OmegaConf.clear_resolver("oc.env")
    try:
        data = OmegaConf.to_container(OmegaConf.create(config.data), resolve=True)
    except OmegaConfBaseException as error:
        path = str(error.full_key or "")
        raise ConfigError([Problem(path, str(error.msg), config.where(path))]) from error
    result = checker.section(section, data)
    if checker.problems or result is None:
        raise ConfigError(checker.problems)
    return result


def dump(section: Any) -> str:
    """Write a section as YAML, every default included."""
    return OmegaConf.to_yaml(OmegaConf.create(plain(section)))


def _read(path: Path, children: tuple[Path, ...]) -> Config:
    if path.resolve() in children:
        raise ConfigError([Problem("base", f"{path.name} inherits from itself", path.name)])
    try:
        text = path.read_text(encoding="utf-8")
        data: Any = OmegaConf.to_container(OmegaConf.create(text), resolve=False) if text else {}
        node = _compose(text)
    except (yaml.YAMLError, OmegaConfBaseException, UnicodeDecodeError, OSError) as error:
        raise ConfigError([Problem("", f"cannot be read: {error}", path.name)]) from error
    if not is_mapping(data):
        raise ConfigError([Problem("", "must be a mapping of keys to values", path.name)])
    own: dict[str, Any] = dict(data)
    config = Config(own, _lines(node, path.name), [path])
    bases: Any = own.pop("base", [])
    names = cast("list[Any]", bases) if isinstance(bases, list) else [bases]
    inherited = Config()
    for base in names:
        if not isinstance(base, str):
            text = f"must be the name of a config or a list of names, got {base!r}"
            raise ConfigError([Problem("base", text, config.where("base"))])
        try:
            parent = find(base, path)
        except EmoframeError as error:
            raise ConfigError([Problem("base", str(error), config.where("base"))]) from error
        inherited = _read(parent, (*children, path.resolve())).over(inherited)
    return config.over(inherited)


def _compose(text: str) -> yaml.Node | None:
    return cast("Any", yaml).compose(text)


def _lines(node: yaml.Node | None, name: str, path: str = "") -> dict[str, str]:
    """Map the dotted path of every key to `file:line`."""
    found: dict[str, str] = {}
    if isinstance(node, yaml.MappingNode):
        for key, value in cast("list[tuple[yaml.ScalarNode, yaml.Node]]", node.value):
            inner = f"{path}.{key.value}" if path else str(key.value)
            found[inner] = f"{name}:{key.start_mark.line + 1}"
            found |= _lines(value, name, inner)
    return found


def layer(items: Sequence[str], place: str = COMMAND_LINE) -> Config:
    """Read `key=value` items that were written at a place, as a config to lay over another.

    Raises:
        ConfigError: One of them is malformed.
    """
    data: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for item in items:
        key, equals, text = item.partition("=")
        if not equals or not key.strip("."):
            raise ConfigError([Problem("", f"{item!r} is not of the form key=value", place)])
        try:
            value = OmegaConf.to_container(OmegaConf.create(f"value: {text}"), resolve=False)
        except (yaml.YAMLError, OmegaConfBaseException) as error:
            raise ConfigError([Problem(key, f"cannot be read: {error}", place)]) from error
        nested: Any = cast("dict[str, Any]", value)["value"]
        steps = key.split(".")
        for step in reversed(steps):
            nested = {step: nested}
        data = merge(data, nested)
        origins |= {".".join(steps[: n + 1]): place for n in range(len(steps))}
    return Config(data, origins)
