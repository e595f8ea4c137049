"""To Label Studio and back, judged by its own SDK: what nobody changed stays as it was."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from label_studio_sdk.label_interface import LabelInterface

from emoframe.core.errors import DataError
from emoframe.labelling import Unit
from emoframe.weak_labels.exchange.gold import import_review
from emoframe.weak_labels.exchange.listing import listing
from emoframe.weak_labels.exchange.review import ABSTAINED, codes_of, export_review
from emoframe.weak_labels.store import LabelStore

Fill = Callable[[LabelStore], LabelStore]
VIDEOS = "/data/local-files/?d=videos/{item}.mp4"


@pytest.fixture
def store(tmp_path: Path, fill: Fill, parts: Any) -> LabelStore:
    filled = fill(LabelStore(tmp_path / "labels.sqlite"))
    second = parts.key._replace(sample=1)
    label = replace(parts.label, label=None, confidence=None, units=())
    filled.settle(filled.reserve(second, 0), parts.answer(second, label=label))
    return filled


@pytest.fixture
def tasks(store: LabelStore, tmp_path: Path) -> list[dict[str, Any]]:
    assert export_review(listing(store), tmp_path / "out", VIDEOS) == 1
    return json.loads((tmp_path / "out" / "tasks.json").read_text())


@pytest.fixture
def interface(tasks: Any, tmp_path: Path) -> LabelInterface:
    return LabelInterface((tmp_path / "out" / "label_config.xml").read_text())


def annotated(task: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """Return a task as Label Studio exports it after somebody pressed Submit."""
    annotation = {
        "id": 5, "completed_by": {"id": 3, "email": "ann@example.org"}, "was_cancelled": False,
        "result": copy.deepcopy(task["predictions"][0]["result"]), "ground_truth": False,
        "updated_at": "2026-01-02T03:04:05.678901Z", "lead_time": 12.3, **changes,
    }  # fmt: skip
    return {"id": 1, "data": task["data"], "annotations": [annotation], "predictions": []}


def brought_back(store: LabelStore, *tasks: dict[str, Any]) -> Any:
    file = store.path.with_name("export.json")
    file.write_text(json.dumps(tasks))
    return import_review(store, file)


def test_label_studio_accepts_the_interface_and_the_tasks(
    interface: LabelInterface, tasks: list[dict[str, Any]]
) -> None:
    interface.validate()
    (task,) = tasks
    assert interface.validate_task({"data": task["data"]})
    assert len(task["predictions"]) == 2
    for prediction in task["predictions"]:
        assert interface.validate_prediction(prediction, return_errors=True) == []
    assert interface.get_control("units").labels == [
        "FACS 4 Brow Lowerer", "FACS 12 Lip Corner Puller", "OTHER x odd thing",
    ]  # fmt: skip
    assert interface.get_control("label").labels == ["win", "loss", ABSTAINED]
    assert interface.get_object("video").attr["frameRate"] == "$fps"
    assert task["data"]["video"] == "/data/local-files/?d=videos/0001.mp4"


def test_label_studio_would_refuse_what_does_not_fit(
    interface: LabelInterface, tasks: list[dict[str, Any]]
) -> None:
    wrong = copy.deepcopy(tasks[0]["predictions"][0])
    wrong["result"][-1]["value"]["timelinelabels"] = ["FACS 99"]
    assert interface.validate_prediction(wrong, return_errors=True)


def test_what_nobody_changed_comes_back_as_it_went_out(
    store: LabelStore, tasks: list[dict[str, Any]], interface: LabelInterface, parts: Any
) -> None:
    task = annotated(tasks[0])
    assert interface.validate_annotation(task["annotations"][0])
    done = brought_back(store, task)
    assert (done.new, done.there, done.refused) == (1, 0, ())
    review = next(one for one in store.reviews("imigue") if one.reviewer == "ann@example.org")
    assert review.units == parts.units
    assert (review.label, review.rationale) == ("win", "smiles, so a win")
    assert review.at == "2026-01-02T03:04:05.678901+00:00"
    assert brought_back(store, task).there == 1


def test_what_was_changed_is_gold(store: LabelStore, tasks: list[dict[str, Any]]) -> None:
    task = annotated(tasks[0], completed_by=7)
    choice, why, smile, odd = task["annotations"][0]["result"]
    choice["value"]["choices"] = ["loss"]
    why["value"]["text"] = ["frowns"]
    smile["value"]["ranges"] = [{"start": 51, "end": 75}]
    odd["value"]["timelinelabels"] = ["FACS 4 Brow Lowerer"]
    new = {"ranges": [{"start": 1, "end": 25}], "timelinelabels": ["FACS 12 Lip Corner Puller"]}
    region = {"id": "Zx1", "from_name": "units", "to_name": "video", "type": "timelinelabels"}
    task["annotations"][0]["result"].append({**region, "value": new})
    assert brought_back(store, task).refused == ()
    review = next(one for one in store.reviews() if one.reviewer == "7")
    assert (review.label, review.rationale) == ("loss", "frowns")
    assert review.units == (
        Unit("FACS", "12", "Lip Corner Puller", 0.0, 1.0, 1.0),
        Unit("FACS", "12", "Lip Corner Puller", 2.0, 3.0, 1.0, "left", "C", ("joy",), "a smile"),
        Unit("FACS", "4", "Brow Lowerer", 3.0, 76 / 25, 1.0),
    )


def test_each_video_counts_frames_by_its_own_rate_where_it_is_known(
    store: LabelStore, tmp_path: Path
) -> None:
    own = {("imigue", "0001"): 10.0, ("imigue", "0002"): 30.0}
    export_review(listing(store), tmp_path / "own", VIDEOS, 25.0, own)
    (task,) = json.loads((tmp_path / "own" / "tasks.json").read_text())
    assert task["data"]["fps"] == 10.0
    units = [one for one in task["predictions"][0]["result"] if one["from_name"] == "units"]
    assert units[0]["value"]["ranges"] == [{"start": 13, "end": 24}]


def test_what_a_probe_asked_is_not_reviewed(store: LabelStore, parts: Any, tmp_path: Path) -> None:
    probe = replace(parts.prompt, name="probe_person", text="Who?", classes=("known", "unknown"))
    store.add_prompt(probe)
    key = parts.key._replace(prompt=probe.hash)
    label = replace(parts.label, classes=("known", "unknown"))
    store.settle(store.reserve(key, 0), parts.answer(key, label=label))
    export_review(listing(store), tmp_path / "out", VIDEOS)
    (task,) = json.loads((tmp_path / "out" / "tasks.json").read_text())
    assert not any("probe_person" in one["model_version"] for one in task["predictions"])
    assert "unknown" not in (tmp_path / "out" / "label_config.xml").read_text()


def test_codes_stand_as_people_count(store: LabelStore, parts: Any) -> None:
    codes = {"FACS": dict.fromkeys(("1", "10", "11", "2"), "n")}
    found = [replace(one, prompt=replace(one.prompt, codes=codes)) for one in listing(store)]
    facs = [code for system, code, _ in codes_of(found).values() if system == "FACS"]
    assert facs == ["1", "2", "10", "11", "12"]


def test_an_abstention_goes_out_and_comes_back(
    store: LabelStore, tasks: list[dict[str, Any]]
) -> None:
    assert brought_back(store, annotated(tasks[0], result=tasks[0]["predictions"][1]["result"])).new
    assert store.reviews()[-1].label is None


def test_a_later_correction_counts_and_a_skipped_task_does_not(
    store: LabelStore, tasks: list[dict[str, Any]]
) -> None:
    first, later = annotated(tasks[0]), annotated(tasks[0], updated_at="2026-02-02T00:00:00Z")
    later["annotations"][0]["result"][0]["value"]["choices"] = ["loss"]
    skipped = annotated(tasks[0], was_cancelled=True, result=[])
    done = brought_back(store, later, first, skipped)
    assert (done.new, done.refused) == (2, ())
    assert store.reviews("imigue")[-1].label == "loss"


def test_what_does_not_fit_is_told_task_by_task_and_the_rest_is_taken(
    store: LabelStore, tasks: list[dict[str, Any]]
) -> None:
    def broken(change: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
        task = annotated(copy.deepcopy(tasks[0]))
        change(task)
        return task

    def value(task: dict[str, Any], region: int) -> dict[str, Any]:
        return task["annotations"][0]["result"][region]["value"]

    bad = [
        broken(lambda task: task["data"].update(item="0009")),
        broken(lambda task: task["data"].pop("fps")),
        broken(lambda task: task.pop("annotations")),
        broken(lambda task: value(task, 0).update(choices=["draw"])),
        broken(lambda task: task["annotations"][0]["result"].pop(0)),
        broken(lambda task: value(task, 2).update(timelinelabels=["mine"])),
        broken(lambda task: value(task, 2).update(ranges=[{"start": 9, "end": 3}])),
        broken(lambda task: value(task, 2).update(ranges=[{"start": 0, "end": 3}])),
        broken(lambda task: task["annotations"][0].pop("updated_at")),
        3,
    ]
    done = brought_back(store, *bad, annotated(tasks[0]))
    assert (done.new, len(done.refused)) == (1, len(bad))
    for n, text in enumerate(
        (
            "knows no item '0009' of 'imigue'", "data.fps: Field required", "annotations: Field",
            "the class is draw; it must be one of win, loss", "the class is not chosen",
            "'mine' is no label of the interface", "ends in frame 3.0, before it begins",
            "greater than 0", "neither `updated_at` nor", "is no annotated task",
        )
    ):  # fmt: skip
        assert f"task {n + 1}: " in done.refused[n]
        assert text in done.refused[n]


def test_simulated_labels_and_late_prompts_are_marked_for_the_reviewer(
    store: LabelStore, parts: Any, tmp_path: Path, interface: LabelInterface
) -> None:
    fake = replace(parts.labeler, key="fa" * 32, config={"type": "simulated"}, simulated=True)
    store.add_labeler(fake)
    key = parts.key._replace(labeler=fake.key)
    store.settle(store.reserve(key, 0), parts.answer(key))
    export_review(listing(store), tmp_path / "out", VIDEOS)
    (task,) = json.loads((tmp_path / "out" / "tasks.json").read_text())
    assert task["data"]["title"] == "imigue 0001 (simulated)"
    assert any(one["model_version"].endswith(", simulated") for one in task["predictions"])


def test_names_that_xml_cannot_hold_do_no_harm(
    store: LabelStore, parts: Any, tmp_path: Path
) -> None:
    unit = Unit("FACS", '<&">', "a\x00\x1b\n'b", 0.0, 1.0, 1.0)
    key = parts.key._replace(sample=2)
    answer = parts.answer(key, label=replace(parts.label, units=(unit,)))
    store.settle(store.reserve(key, 0), answer)
    export_review(listing(store), tmp_path / "out", VIDEOS)
    interface = LabelInterface((tmp_path / "out" / "label_config.xml").read_text())
    (task,) = json.loads((tmp_path / "out" / "tasks.json").read_text())
    for prediction in task["predictions"]:
        assert interface.validate_prediction(prediction, return_errors=True) == []
    done = brought_back(store, annotated(task, result=task["predictions"][-1]["result"]))
    assert done.refused == ()
    assert store.reviews("imigue")[-1].units == (unit,)


def test_what_cannot_be_exported_or_read_is_a_sentence(store: LabelStore, tmp_path: Path) -> None:
    found = listing(store)
    for arguments, told in (
        (([], tmp_path, VIDEOS), "no item has a label yet"),
        ((found, tmp_path, "videos/"), r"must hold \{item\} or \{clip\}"),
        ((found, tmp_path, VIDEOS, 0.0), "fps: 0.0 must be more than 0"),
        ((found, Path("/proc/out"), VIDEOS), "cannot be written"),
    ):
        with pytest.raises(DataError, match=told):
            export_review(*arguments)
    (tmp_path / "a.json").write_text("{}")
    with pytest.raises(DataError, match="is no list of tasks; export as JSON"):
        import_review(store, tmp_path / "a.json")
    (tmp_path / "deep.json").write_text("[" * 100_000)
    for name in ("missing.json", "deep.json"):
        with pytest.raises(DataError, match="cannot be read as JSON"):
            import_review(store, tmp_path / name)
