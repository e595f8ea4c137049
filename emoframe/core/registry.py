"""One registry per kind, on `mmengine.Registry`: lazy, with suggestions, and safe.

mmengine's own `get` imports and calls any dotted name (`os.path.join` included) and its scopes only
warn; both are switched off here. A part's code is imported when it is first asked for.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Mapping
from typing import Any

from mmengine.registry import Registry  # pyright: ignore[reportMissingTypeStubs]

from emoframe.core import schema
from emoframe.core.checker import Checker
from emoframe.core.component import KINDS, Kind
from emoframe.core.errors import ComponentError, ConfigError, suggest
from emoframe.core.plugins import Offer, loaded


class ComponentRegistry(Registry):
    """The parts of one kind, by name."""

    def __init__(self, kind: Kind) -> None:
        """Make a stand-alone registry: no parent, no children, no scope look-ups."""
        super().__init__(  # pyright: ignore[reportUnknownMemberType]
            kind.name, build_func=_build, scope="emoframe", locations=[]
        )
        self.kind = kind

    def names(self) -> list[str]:
        """Return every name of this kind, sorted."""
        return loaded().names(self.kind.name)

    def offer(self, name: str) -> Offer:
        """Return who offers a part.

        Raises:
            ComponentError: Nobody does, or two distributions do.
        """
        return loaded().offer(self.kind.name, name)

    def get(self, key: str) -> type[Any]:
        """Return the class of a part, importing its code now.

        Raises:
            ComponentError: The name is unknown, or a package that it needs is absent.
        """
        offer = self.offer(key)
        if offer.cls is not None:
            return offer.cls
        module, _, attribute = offer.component.target.partition(":")
        try:
            return getattr(importlib.import_module(module), attribute)
        except ImportError as error:
            raise ComponentError(self._missing(offer, error)) from error
        except Exception as error:  # whatever a module does while it is imported
            raise ComponentError(
                f"{self.kind.name} {key!r} of {offer.distribution} cannot be imported from "
                f"{offer.component.target}: {type(error).__name__}: {error}"
            ) from error

    def _missing(self, offer: Offer, error: ImportError) -> str:
        needs = " ".join(offer.component.needs)
        cure = f"pip install {needs}" if needs else f"reinstall {offer.distribution}"
        return f"{self.kind.name} {offer.component.name!r} cannot be imported: {error}; {cure}"


@functools.cache
def registry(kind: str) -> ComponentRegistry:
    """Return the registry of a kind.

    Raises:
        ComponentError: There is no such kind.
    """
    if kind not in KINDS:
        known = list(KINDS)
        raise ComponentError(
            f"there is no kind {kind!r}{suggest(kind, known)} (the kinds are {', '.join(known)})"
        )
    return ComponentRegistry(KINDS[kind])


def create(kind: str, node: Mapping[str, Any], wiring: Mapping[str, Any] | None = None) -> Any:
    """Build a part from its config node.

    Args:
        kind: The kind.
        node: `type` and the parameters, plain data.
        wiring: Numbers that only the model knows; the constructor is given those it asks for.

    Raises:
        ConfigError: Parameters are unknown, missing or of a wrong type.
        ComponentError: There is no such part, or it cannot be imported.
    """
    parts: Any = registry(kind)
    return parts.build(dict(node), wiring=dict(wiring or {}))


def build(kind: str, name: str, /, **params: Any) -> Any:
    """Build a part by name: `build("keypoint_backbone", "mlp", num_joints=25, ...)`.

    Wiring numbers (`num_joints`, `in_dim`, ...) are given like any other parameter.

    Raises:
        ConfigError: Parameters are unknown, missing or of a wrong type.
        ComponentError: There is no such part, or it cannot be imported.
    """
    wiring = {key: params.pop(key) for key in registry(kind).kind.wiring if key in params}
    return create(kind, {"type": name, **params}, wiring)


def _build(cfg: dict[str, Any], *, wiring: dict[str, Any], registry: ComponentRegistry) -> Any:
    name = cfg.pop("type")
    cls = registry.get(name)
    params = schema.parameters(cls, registry.kind)
    checker = Checker()
    filled = checker.arguments(params, cfg, f"{registry.kind.name} {name}")
    wanted = [parameter.name for parameter in params.values() if parameter.wiring]
    lacking = [p for p in wanted if p not in wiring and params[p].required]
    if lacking:
        checker.note(f"{registry.kind.name} {name}", f"needs {', '.join(lacking)} from the model")
    if checker.problems:
        raise ConfigError(checker.problems)
    try:
        return cls(**filled, **{key: wiring[key] for key in wanted if key in wiring})
    except (ValueError, TypeError, AssertionError) as error:
        raise ComponentError(
            f"{registry.kind.name} {name!r} cannot be built with {filled}: "
            f"{type(error).__name__}: {error}"
        ) from error
