"""Finding plugins, and keeping a broken one from harming the rest.

Discovery walks the entry points itself, one `try` each: pluggy's own loader lets a single plugin
with a missing import take the whole host down. What is broken is kept with its reason, shown by
`emoframe plugins`, and named when something that it may provide is asked for.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

import pluggy

from emoframe.core import hookspecs
from emoframe.core.component import KINDS, Component
from emoframe.core.errors import ComponentError, EmoframeError, suggest

T = TypeVar("T", bound=type[Any])
RESTRICT = "EMOFRAME_PLUGINS"
BUILTIN = "emoframe"
KNOWN_ELSEWHERE: dict[tuple[str, str], str] = {
    ("detector", "rtdetr"): "emoframe-transformers",
    ("detector", "yolo"): "emoframe-ultralytics",
    ("frame_encoder", "clip"): "emoframe-transformers",
    ("frame_encoder", "dinov2"): "emoframe-transformers",
    ("frame_encoder", "patch_binding"): "emoframe-transformers",
    ("frame_encoder", "xclip"): "emoframe-transformers",
    ("pose_estimator", "mediapipe"): "emoframe-mediapipe",
    ("pose_estimator", "openpose"): "emoframe-openpose",
    ("pose_estimator", "openpose_json"): "emoframe-openpose",
    ("pose_estimator", "rtmpose"): "emoframe-rtmlib",
    ("pose_estimator", "yolo_pose"): "emoframe-ultralytics",
    ("text_encoder", "bert"): "emoframe-transformers",
    ("vlm_labeler", "gemini"): "emoframe-genai",
    ("vlm_labeler", "openai_compatible"): "emoframe-openai",
    ("vlm_labeler", "transformers_vlm"): "emoframe-transformers",
}
"""Parts of emoframe that live in plugins of their own, so that a missing one can be named."""


@dataclass(slots=True)
class Plugin:
    """One installed plugin, loaded or broken.

    Attributes:
        name: Name of the entry point, or of the file.
        distribution: What provides it, as `name version`.
        hooks: The hooks that it implements.
        components: What it offers.
        error: Why it could not be loaded in full; empty when all is well.
    """

    name: str
    distribution: str
    hooks: tuple[str, ...] = ()
    components: tuple[Component, ...] = ()
    error: str = ""


@dataclass(frozen=True, slots=True)
class Offer:
    """A component with who offers it, and its class where that is already in memory."""

    component: Component
    distribution: str
    cls: type[Any] | None = None


@dataclass
class Plugins:
    """All plugins of this process.

    Attributes:
        plugins: Every plugin found, broken ones included.
        offers: Every component offered, by kind and name; more than one offer is a clash.
    """

    plugins: list[Plugin] = field(default_factory=lambda: [])
    offers: dict[tuple[str, str], list[Offer]] = field(default_factory=lambda: {})
    manager: pluggy.PluginManager = field(
        default_factory=lambda: pluggy.PluginManager(hookspecs.PROJECT)
    )

    def __post_init__(self) -> None:
        """Teach pluggy the hooks."""
        self.manager.add_hookspecs(hookspecs)

    def discover(self) -> None:
        """Load every entry point of the group `emoframe` that `EMOFRAME_PLUGINS` lets through."""
        wanted = os.environ.get(RESTRICT)
        allowed = None if wanted is None else {name.strip() for name in wanted.split(",")}
        found = {
            (point.name, point.value): point for point in entry_points(group=hookspecs.PROJECT)
        }
        for point in sorted(found.values(), key=lambda point: (point.name != BUILTIN, point.name)):
            if point.name == BUILTIN or allowed is None or point.name in allowed:
                self.load(point.name, _distribution(point), point.load)

    def load(self, name: str, distribution: str, importer: Callable[[], object]) -> Plugin:
        """Import and register one plugin; whatever goes wrong is its error and nobody else's."""
        plugin = Plugin(name, distribution)
        self.plugins.append(plugin)
        try:
            module = importer()
            self.manager.register(module, name=name)
        except (Exception, SystemExit) as error:
            plugin.error = f"cannot be loaded: {type(error).__name__}: {error}"
            return plugin
        try:
            self.manager.check_pending()
        except pluggy.PluginValidationError as error:
            self.manager.unregister(name=name)
            plugin.error = f"implements no hook of emoframe: {error}"
            return plugin
        plugin.hooks = tuple(sorted(c.name for c in self.manager.get_hookcallers(module) or ()))
        self._collect(plugin)
        return plugin

    def load_file(self, path: Path) -> Plugin:
        """Load one Python file as a plugin, as `--plugin ./mine.py` does.

        Raises:
            EmoframeError: The file is missing, fails to import or offers nothing.
        """
        if not path.is_file():
            raise EmoframeError(f"--plugin {path}: there is no such file")
        before = {key: len(offers) for key, offers in self.offers.items()}
        name = f"emoframe_plugin_{path.stem}"
        plugin = self.load(name, str(path), functools.partial(_import_file, name, path))
        if plugin.error:
            raise EmoframeError(f"--plugin {path}: {plugin.error}")
        if not plugin.hooks and before == {k: len(offers) for k, offers in self.offers.items()}:
            raise EmoframeError(
                f"--plugin {path}: the file offers nothing; mark a class with "
                "@emoframe.component('keypoint_backbone', 'mine') or implement a hook"
            )
        return plugin

    def add(self, offer: Offer) -> None:
        """Add one offer; the same class offered again (a notebook cell run twice) replaces it."""
        key = (offer.component.kind, offer.component.name)
        others = [
            o for o in self.offers.get(key, []) if o.component.target != offer.component.target
        ]
        self.offers[key] = [*others, offer]

    def names(self, kind: str) -> list[str]:
        """Return every name of a kind, sorted."""
        return sorted(name for own, name in self.offers if own == kind)

    def offer(self, kind: str, name: str) -> Offer:
        """Return who offers a part.

        Raises:
            ComponentError: Nobody does, or two distributions do.
        """
        offers = self.offers.get((kind, name), [])
        if len(offers) > 1:
            who = " and ".join(offer.distribution for offer in offers)
            raise ComponentError(
                f"{kind} {name!r} is declared by {who}; uninstall one of them, "
                f"or choose with {RESTRICT}=plugin,plugin"
            )
        if not offers:
            raise ComponentError(self._unknown(kind, name))
        return offers[0]

    def results(self, hook: str, *args: Any) -> Iterator[tuple[Plugin, Any]]:
        """Call a hook of every plugin, one by one; a plugin that fails is noted and passed over."""
        for impl in reversed(getattr(self.manager.hook, hook).get_hookimpls()):
            plugin = next(p for p in self.plugins if p.name == impl.plugin_name)
            try:
                result = impl.function(*args)
            except Exception as error:
                plugin.error = f"{hook} failed: {type(error).__name__}: {error}"
                continue
            yield plugin, result

    def _unknown(self, kind: str, name: str) -> str:
        names = self.names(kind)
        text = f"there is no {kind} {name!r}{suggest(name, names)}"
        text += f" (installed: {', '.join(names) or 'none'})"
        if provider := KNOWN_ELSEWHERE.get((kind, name)):
            text += f"; it comes with the plugin {provider}: pip install {provider}"
        broken = [f"{p.name} ({p.distribution}): {p.error}" for p in self.plugins if p.error]
        if broken:
            text += f"; these plugins are broken and may provide it: {'; '.join(broken)}"
        return text

    def _collect(self, plugin: Plugin) -> None:
        """Add the components of a plugin that was just registered."""
        module = self.manager.get_plugin(plugin.name)
        declare = getattr(module, "emoframe_components", None)
        if "emoframe_components" not in plugin.hooks or declare is None:
            return
        try:
            components = tuple(declare())
            wrong = [part for part in components if not isinstance(part, Component)]
            if wrong:
                raise TypeError(f"returned {wrong[0]!r}, which is no Component")
        except Exception as error:
            plugin.error = f"emoframe_components failed: {type(error).__name__}: {error}"
            return
        plugin.components = components
        for component in components:
            taken = self.offers.get((component.kind, component.name), [])
            self.add(Offer(component, plugin.distribution))
            if taken:
                plugin.error = (
                    f"declares {component.kind} {component.name!r}, "
                    f"which {taken[0].distribution} declares too"
                )


@functools.cache
def loaded() -> Plugins:
    """Return the plugins of this process, discovered on the first call."""
    plugins = Plugins()
    plugins.discover()
    for offer in _DECORATED:  # before discovery, or by a plugin's own module during it
        plugins.add(offer)
    return plugins


_DECORATED: list[Offer] = []


def component(kind: str, name: str, **declared: Any) -> Callable[[T], T]:
    """Register a class for this process: the quick door for a script, a notebook or `--plugin`.

    Args:
        kind: One of the kinds.
        name: The name to call it by in a config.
        **declared: More fields of `Component`, such as `example`, `paper` or `needs`.

    Raises:
        ComponentError: The class is local to a function, so that nobody else could import it.
    """
    if kind not in KINDS:
        raise ComponentError(f"there is no kind {kind!r}; the kinds are {', '.join(KINDS)}")

    def register(cls: T) -> T:
        target = f"{cls.__module__}:{cls.__qualname__}"
        if "<locals>" in target:
            raise ComponentError(f"{kind} {name!r}: define {cls.__name__} at the top of a module")
        source = getattr(sys.modules[cls.__module__], "__file__", None) or cls.__module__
        offer = Offer(Component(kind=kind, name=name, target=target, **declared), source, cls)
        if loaded.cache_info().currsize:
            loaded().add(offer)
        else:
            _DECORATED.append(offer)
        return cls

    return register


def _distribution(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist else point.value


def _import_file(name: str, path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise EmoframeError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
