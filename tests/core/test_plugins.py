"""A plugin is found, isolated when broken, and never allowed to take a name by accident."""

from __future__ import annotations

import types
from collections.abc import Callable
from pathlib import Path

import pytest

from emoframe.core import plugins as plugins_module
from emoframe.core.component import Component
from emoframe.core.errors import ComponentError, EmoframeError
from emoframe.core.hookspecs import hookimpl
from emoframe.core.plugins import Plugins, component, loaded


def offering(*names: str, target: str = "somewhere:Thing") -> Callable[[], object]:
    """Return an importer of a plugin that offers keypoint backbones of these names."""

    @hookimpl
    def emoframe_components() -> list[Component]:
        return [Component(kind="keypoint_backbone", name=n, target=target) for n in names]

    module = types.ModuleType("offering")
    module.emoframe_components = emoframe_components  # type: ignore[attr-defined]
    return lambda: module


def fresh() -> Plugins:
    found = Plugins()
    found.load("good", "good 1.0", offering("fine"))
    return found


def test_a_plugin_with_a_broken_import_is_listed_and_harms_nothing() -> None:
    found = fresh()

    def importer() -> object:
        raise ModuleNotFoundError("No module named 'absent'")

    found.load("bad", "bad 0.1", importer)
    assert "No module named 'absent'" in found.plugins[1].error
    assert found.offer("keypoint_backbone", "fine").distribution == "good 1.0"
    with pytest.raises(ComponentError, match=r"bad \(bad 0.1\)"):
        found.offer("keypoint_backbone", "wanted")


@pytest.mark.parametrize("problem", [SystemExit(3), RuntimeError("no"), SyntaxError("bad")])
def test_whatever_a_plugin_raises_on_import_stays_its_own(problem: BaseException) -> None:
    found = fresh()

    def importer() -> object:
        raise problem

    found.load("bad", "bad 0.1", importer)
    assert type(problem).__name__ in found.plugins[1].error
    assert found.names("keypoint_backbone") == ["fine"]


def test_a_misspelt_hook_is_an_error_of_that_plugin_alone() -> None:
    found = fresh()

    @hookimpl
    def emoframe_component() -> list[Component]:
        return []

    module = types.ModuleType("misspelt")
    module.emoframe_component = emoframe_component  # type: ignore[attr-defined]
    found.load("misspelt", "misspelt 1", lambda: module)
    assert "emoframe_component" in found.plugins[1].error
    assert found.names("keypoint_backbone") == ["fine"]


def test_a_hook_that_fails_is_an_error_of_that_plugin_alone() -> None:
    found = fresh()

    @hookimpl
    def emoframe_components() -> list[Component]:
        raise ValueError("not today")

    module = types.ModuleType("failing")
    module.emoframe_components = emoframe_components  # type: ignore[attr-defined]
    found.load("failing", "failing 1", lambda: module)
    assert "not today" in found.plugins[1].error


def test_a_taken_name_is_refused_and_names_both_distributions() -> None:
    found = fresh()
    found.load("other", "other 2.0", offering("fine", "more", target="elsewhere:Thing"))
    with pytest.raises(ComponentError, match="good 1.0 and other 2.0"):
        found.offer("keypoint_backbone", "fine")
    assert "good 1.0" in found.plugins[1].error
    assert found.offer("keypoint_backbone", "more").distribution == "other 2.0"


def test_a_part_of_an_official_plugin_that_is_not_installed_names_that_plugin() -> None:
    with pytest.raises(ComponentError, match="pip install emoframe-ultralytics"):
        fresh().offer("detector", "yolo")


@pytest.mark.parametrize(
    ("wanted", "there"),
    [("none", False), ("example", True), ("mediapipe, example", True), ("mediapipe", False)],
)
def test_the_environment_restricts_what_is_loaded(
    wanted: str, there: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EMOFRAME_PLUGINS", wanted)
    found = Plugins()
    found.discover()
    assert ("deep_sets" in found.names("keypoint_backbone")) is there
    assert "mlp" in found.names("keypoint_backbone")


def test_one_file_is_a_plugin(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        "import emoframe\n"
        "@emoframe.component('keypoint_backbone', 'mine_of_one_file')\n"
        "class Mine:\n    '''Mine.'''\n"
    )
    loaded().load_file(file)
    offer = loaded().offer("keypoint_backbone", "mine_of_one_file")
    assert offer.distribution == str(file)
    assert offer.cls is not None
    loaded().offers.pop(("keypoint_backbone", "mine_of_one_file"))


@pytest.mark.parametrize(
    ("text", "says"),
    [("import absent_thing\n", "absent_thing"), ("x = 1\n", "offers nothing"), ("x =\n", "Syntax")],
)
def test_a_file_that_is_no_plugin_is_refused(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / f"bad_{says.split()[0]}.py"
    file.write_text(text)
    with pytest.raises(EmoframeError, match=says):
        Plugins().load_file(file)


def test_a_missing_file_is_no_plugin(tmp_path: Path) -> None:
    with pytest.raises(EmoframeError, match="no such file"):
        Plugins().load_file(tmp_path / "absent.py")


def test_a_class_that_nobody_could_import_again_is_refused() -> None:
    class Local:
        """Local."""

    with pytest.raises(ComponentError, match="top of a module"):
        component("keypoint_backbone", "local")(Local)


def test_a_kind_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ComponentError, match="there is no kind 'backbone'"):
        component("backbone", "x")


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"kind": "backbone"}, "no such kind"),
        ({"name": "My-Part"}, "lower case"),
        ({"target": "no_colon"}, "package.module:Class"),
    ],
)
def test_a_declaration_that_could_never_work_is_refused(fields: dict[str, str], says: str) -> None:
    good = {"kind": "loss", "name": "mine", "target": "a.b:C"}
    with pytest.raises(ComponentError, match=says):
        Component(**(good | fields))


def test_the_builtin_parts_enter_by_the_same_door() -> None:
    builtin = next(p for p in loaded().plugins if p.name == plugins_module.BUILTIN)
    assert "emoframe_components" in builtin.hooks
    assert not builtin.error
