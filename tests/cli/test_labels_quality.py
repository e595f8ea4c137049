"""The commands that judge weak labels, as their user meets them: tables, JSON, pages, sentences."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import Result
from typer.testing import CliRunner

from emoframe import label as api
from emoframe.cli.app import build_app
from emoframe.core.errors import DataError
from emoframe.core.plugins import loaded
from emoframe.core.schema import plain

FILE = Path(__file__).parents[1] / "evidence" / "conftest.py"
_spec = importlib.util.spec_from_file_location("label_worlds", FILE)
assert _spec
assert _spec.loader
worlds = importlib.util.module_from_spec(_spec)
sys.modules["label_worlds"] = worlds  # its dataclasses look there for their annotations
_spec.loader.exec_module(worlds)


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A config whose training items are labelled under two prompts."""
    before = dict(loaded().offers)
    plugin = loaded().load_file(worlds.PARTS)
    world = worlds.filmed(tmp_path_factory.mktemp("films"))
    for n, told in enumerate(world.told.values()):
        told |= {"person": "Ada\x1b[31m Lovelace" if n < 4 else None, "result": None}
    for prompt in ("simple", "cot"):
        api.label(world.experiment(prompt), which=api.Which("train"))
    file = world.root / "config.yaml"
    experiment = plain(world.experiment())
    file.write_text(yaml.safe_dump({k: experiment[k] for k in ("dataset", "weak_labels")}))
    yield file
    loaded().plugins.remove(plugin)
    loaded().manager.unregister(name=plugin.name)
    for key in [key for key in loaded().offers if key not in before]:
        del loaded().offers[key]


def labels(*args: object) -> Result:
    return CliRunner().invoke(build_app(), ["labels", *map(str, args)])


def data(*args: object) -> dict[str, Any]:
    found = labels(*args, "--json")
    assert found.exit_code == 0, found.output
    return json.loads(found.stdout)


def test_agree_prints_tables_and_writes_a_page(config: Path, tmp_path: Path) -> None:
    found = labels("agree", config, "--prior", "win=.54", "--out", tmp_path)
    assert found.exit_code == 0, found.output
    for text in ("accuracy where a class is named", "1.000 [", "prior lose 0.460, win 0.540",
                 "ECE, as stated", "test labels are sealed"):  # fmt: skip
        assert text in found.stdout
    assert "nan" not in found.stdout.lower().split()
    assert "<h1>How good the weak labels are</h1>" in (tmp_path / "agree.html").read_text()
    assert "reliability diagram is not drawn: the intervals of 16 items" in found.stdout
    written = json.loads((tmp_path / "agree.json").read_text())
    assert [one["item"] for one in written["items"]] == [f"film-{n:02d}" for n in range(16)]
    assert "confidence" in written["items"][0]
    assert "agree.json beside it" in found.stderr
    tables = [line for line in found.stdout.splitlines() if not line.startswith("  ")][1:]
    assert max(map(len, tables)) <= 100


def test_labels_of_another_tool_come_into_an_empty_store_and_are_measured(
    config: Path, tmp_path: Path
) -> None:
    file, store = tmp_path / "theirs.csv", tmp_path / "labels.sqlite"
    file.write_text("item,label\nfilm-00,lose\nfilm-01,losse\nfilm-02,win\nfilm-03,win\n")
    come = labels("import", store, file, "--config", config, "--from", "ann")
    assert come.exit_code == 1
    assert "theirs.csv:3: 'losse' is no class of 'films'; did you mean 'lose'?" in come.stderr
    assert "not checked" not in come.stderr
    found = data("agree", config, f"weak_labels.store={store}", "--labeler", "ann")
    assert found["about"].startswith("ann@")
    assert found["sections"][0]["rows"][0]["n"] == 3
    shown = labels("agree", config, f"weak_labels.store={store}", "--labeler", "ann")
    assert "13 never asked, 3 ok" in shown.stdout


def test_review_takes_the_frames_per_second_of_each_video(config: Path, tmp_path: Path) -> None:
    store = config.parent / "labels.sqlite"
    told = ("--videos", "{item}", "--fps", 7, "--config", config)
    done = labels("review-export", store, tmp_path, *told)
    assert done.exit_code == 0, done.output
    tasks = json.loads((tmp_path / "tasks.json").read_text())
    assert {round(task["data"]["fps"], 3) for task in tasks} == {25.0}


def test_agree_as_json_holds_numbers_with_their_ends(config: Path) -> None:
    found = data("agree", config)
    value = found["sections"][0]["rows"][0]["value"]
    assert value["value"] == 1.0
    assert 0 < value["low"] < 1
    assert len(found["items"]) == 16


def test_a_prior_that_is_none_is_a_sentence(config: Path) -> None:
    for given, why in (("win", "give a class and its share"), ("wim=.5", "did you mean 'win'")):
        error = labels("agree", config, "--prior", given).exception
        assert isinstance(error, DataError)
        assert why in str(error)


def test_rank_prompts_names_a_tie_and_what_it_cost(config: Path) -> None:
    found = data("rank-prompts", config, "--prompt", "simple", "--prompt", "cot")
    rows = found["sections"][0]["rows"]
    assert [row["stands"] for row in rows] == ["highest", "tie with the highest"]
    assert {row["usd"] for row in rows} == {"0.0000"}
    assert "all 2 prompts tie" in found["sections"][0]["lines"][0]


def test_probe_plans_asks_once_and_reports_without_a_name(config: Path, tmp_path: Path) -> None:
    nothing = labels("probe", config, "--no-ask")
    assert nothing.exit_code == 0, nothing.output
    assert "16 videos were not asked about" in nothing.stdout
    plan = labels("probe", config, "--plan", "--limit", 4)
    assert "person, face blurred" in plan.stdout
    assert "36 questions, at most $0.0000" in plan.stderr, "labels as shown are there"
    asked = labels("probe", config, "--limit", 4, "--out", tmp_path)
    assert asked.exit_code == 0, asked.output
    assert "it names the person in 4 of 4 videos" in asked.stdout
    assert "36 questions, 36 calls" in asked.stderr
    assert "Ada" not in asked.output
    assert "\x1b[31m" not in asked.output
    assert "Verdicts" in (tmp_path / "probe.html").read_text()
    again = labels("probe", config, "--limit", 4)
    assert "0 questions, 0 calls" in again.stderr


def test_help_lists_the_commands() -> None:
    shown = labels("--help").stdout
    for name in ("agree", "probe", "rank-prompts"):
        assert name in shown
