"""What a probe promises: a labeler that recognises people is told of, one that does not is not."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from emoframe import label as api
from emoframe.core.errors import DataError
from emoframe.evidence.grouped import NotMeasurableError
from emoframe.evidence.labels.labelled import Material, TrainingItems
from emoframe.evidence.labels.pages import Report
from emoframe.evidence.probe.ask import Limits, Prober
from emoframe.evidence.probe.names import recognition
from emoframe.evidence.probe.prompts import name_in, probe_prompt, questions, same_names
from emoframe.evidence.probe.report import probe_report
from emoframe.evidence.stats import Interval
from emoframe.labelling import Reply, WeakLabel
from emoframe.weak_labels.store import Answer, LabelStore, QuestionKey

NAMES = {
    "p0": "Ada Lovelace", "p1": "Carl Gauß", "p2": "Émile Borel", "p3": "Ada Byron",
    "p4": "Emmy Noether", "p5": "Sophie Germain", "p6": "Kurt Gödel", "p7": "David Hilbert",
}  # fmt: skip


def asked(world: Any, only: str = "", **labeler: Any) -> Report:
    """Ask what a pattern fits, and report."""
    prober = Prober(TrainingItems(world.experiment(**labeler), to_ask=True), Limits())
    prompts = questions(prober.items).all()
    summary = prober.ask([one for name, one in prompts.items() if re.search(only, name)])
    assert not summary.stopped
    with LabelStore(prober.items.settings.store) as store:
        return probe_report(prober.items, store)


def verdicts(report: Report) -> dict[str, str]:
    """Return the first line of each section, by what it is about."""
    return {one.title.partition(" (")[0]: one.lines[0] for one in report.sections[1:]}


@pytest.fixture(scope="module")
def recognising(lasting_world: Any) -> Any:
    """Make the labeler know eight of the twelve people, and guess about the others."""
    for n, (item, told) in enumerate(lasting_world.told.items()):
        gold, name = lasting_world.gold[item], NAMES.get(lasting_world.subjects[item])
        right = {16: True, 17: True, 18: False, 19: False}.get(n, gold == 1)
        guess = 0.9 if (gold == 1) == right else 0.1
        told |= {"win": (0.9 if gold else 0.1) if name else guess, "win face": guess}
        told |= {"person": name, "person face": None, "event": "Paris 1900" if name else None}
        told |= {"result": 0.95 if gold else 0.05} if name else {"result": None}
    lasting_world.told["film-03"]["note"] = "Gauß looks down."
    return lasting_world


@pytest.fixture(scope="module")
def leaky(recognising: Any) -> Report:
    """What is reported of it."""
    return asked(recognising)


def test_a_labeler_that_recognises_some_players_is_told_of(leaky: Report) -> None:
    found = verdicts(leaky)
    person = found["Does it recognise the person?"]
    assert person.startswith("LEAK: it names the person in 16 of 24")
    assert "names go with the subjects" in person
    assert found["Does it know the result?"].startswith("LEAK: it claims to know the result of 16")
    assert found["Are labels better where it knows the person?"].startswith("LEAK")
    assert found["What is left where less is shown?"].startswith("LEAK: one frame scores")
    assert found["Do rationales betray it?"].startswith("LEAK: 1 items")
    assert found["Are there labels where nothing may be learnt?"].startswith("no leak seen")


def test_it_is_measured_again_where_less_is_shown(leaky: Report) -> None:
    rows = {row["shown"]: row for row in leaky.sections[5].rows}
    assert list(rows) == ["as shown", "face blurred", "background masked", "one frame"]
    assert rows["face blurred"]["named"].value == 0
    assert rows["as shown"]["identified"].value == 1
    assert rows["background masked"]["named"].value == rows["one frame"]["named"].value
    assert rows["one frame"]["named"].value == pytest.approx(2 / 3)
    assert rows["as shown"]["accuracy"].value == pytest.approx(20 / 24)
    assert rows["face blurred"]["as shown less this"].value == pytest.approx(8 / 24)


def test_neither_report_nor_page_names_anybody(leaky: Report, tmp_path: Path) -> None:
    text = json.dumps(leaky.data()) + leaky.write(tmp_path / "out" / "probe.html").read_text()
    assert "LEAK" in text
    assert not any(name in text for name in ("Ada", "Gau", "Borel"))
    assert "NaN" not in text


def test_a_second_probe_asks_nothing_again_and_a_plan_says_so(
    leaky: Report, recognising: Any
) -> None:
    prober = Prober(TrainingItems(recognising.experiment(), to_ask=True), Limits())
    prompts = questions(prober.items).all()
    assert len(prompts) == 10
    assert sum(one.questions for one in prober.plan(prompts).values()) == 0
    assert prober.ask([*prompts.values()]).calls == 0
    with LabelStore(prober.items.settings.store) as store:
        assert {one.status for one in store.answers()} == {"ok"}


def test_a_labeler_that_knows_nobody_is_not_accused(world: Any) -> None:
    for n, told in enumerate(world.told.values()):
        told |= {"win": 0.6 if n % 3 else 0.4, "person": None, "result": None}
    found = verdicts(asked(world, "as shown|result"))
    person = found["Does it recognise the person?"]
    assert person.startswith("no leak seen: it names the person in 0 of 16")
    assert "may still be recognised" in person
    assert found["Does it know the result?"].startswith("no leak seen")
    assert found["Are labels better where it knows the person?"].startswith("cannot be told")
    assert found["What is left where less is shown?"].startswith("cannot be told")


def test_one_name_for_everybody_is_a_guess_and_no_recognition(world: Any) -> None:
    for told in world.told.values():
        told["person"] = "Ada Lovelace"
    told = verdicts(asked(world, "as shown"))["Does it recognise the person?"]
    assert told.startswith("cannot be told: it names the person in 16 of 16")
    assert "guesses" in told


def test_what_needs_movement_is_no_leak_of_a_single_frame(world: Any) -> None:
    for n, told in enumerate(world.told.values()):
        told["win still"] = 0.9 if (n // 2) % 2 else 0.1
    told = verdicts(asked(world, "labels, (as shown|one frame)"))
    still = told["What is left where less is shown?"]
    assert still.startswith("no leak seen: one frame scores")
    assert "needs the video" in still


def test_a_plan_sends_nothing_and_makes_no_store(world: Any) -> None:
    prober = Prober(TrainingItems(world.experiment(), to_ask=True), Limits(clips=3))
    plans = prober.plan(questions(prober.items).all())
    assert {one.questions for one in plans.values()} == {3}
    assert not (world.root / "labels.sqlite").exists()


def test_labels_of_test_and_validation_items_are_counted_and_named(world: Any) -> None:
    api.label(world.experiment())
    items = TrainingItems(world.experiment())
    with LabelStore(items.settings.store) as store:
        section = probe_report(items, store).sections[-1]
    assert section.lines[0].startswith("LEAK")
    rows = {row["split"]: row for row in section.rows}
    assert rows["test"]["which"] == "film-16, film-17"
    assert 0 < rows["validation"]["items with a weak label"] < 16


def test_who_does_not_look_cannot_recognise_and_is_not_asked(world: Any) -> None:
    experiment = world.experiment(looks=False, simulated=True)
    api.label(experiment, which=api.Which("train"))
    items = TrainingItems(experiment)
    with LabelStore(items.settings.store) as store:
        report = probe_report(items, store)
    assert "does not look at the video" in report.sections[1].lines[0]
    assert all(line.startswith("[simulated]") for one in report.sections for line in one.lines)
    assert all(row["marks"] == "simulated" for one in report.sections for row in one.rows)


def test_a_labeler_that_may_not_upload_is_refused_before_anything_is_read(world: Any) -> None:
    (world.root / "films.json").unlink()
    with pytest.raises(DataError, match=r"'scripted' sends.*privacy.upload is 'never'"):
        TrainingItems(world.experiment(uploads=True), to_ask=True)
    assert not (world.root / "labels.sqlite").exists()


def test_nothing_is_reported_of_labels_that_are_not_there(world: Any) -> None:
    items = TrainingItems(world.experiment())
    with (
        LabelStore(items.settings.store) as store,
        pytest.raises(DataError, match="knows no item of the data set 'films'"),
    ):
        probe_report(items, store)


def _answer(text: str, sure: float = 0.9) -> Answer:
    prompt = probe_prompt("person", ("lose", "win"))
    label = WeakLabel(prompt.classes, (sure, 1 - sure), 0 if sure > 0.5 else 1, "", "")
    key = QuestionKey("c", prompt.hash, "l", 0)
    return Answer(key, "ok", "", Reply(text), label, 0.0, 1, "", "", {})


@pytest.mark.parametrize(
    ("text", "sure", "name"),
    [
        ('{"name": " Ada  Lovelace"}', 0.9, "Ada Lovelace"),
        ('```json\n{"name": "Ada"}\n```', 0.9, "Ada"),
        ('{"name": "Ada"}', 0.3, ""),
        ('{"name": "Unknown."}', 0.9, ""),
        ('{"name": null}', 0.9, ""),
        ("Ada", 0.9, ""),
    ],
)
def test_a_name_counts_where_it_is_one_and_given_with_confidence(
    text: str, sure: float, name: str
) -> None:
    assert name_in(_answer(text, sure)) == name


def test_a_part_of_a_name_is_that_name_where_it_can_be_of_one_only() -> None:
    given = ["Émile Borel", "emile borel", "Borel", "Ada Lovelace", "Ada Byron", "Ada", ""]
    assert same_names(given) == [
        "emile borel", "emile borel", "emile borel", "ada lovelace", "ada byron", "ada", "",
    ]  # fmt: skip


def test_a_probe_asks_for_what_a_labeler_must_not_say_and_knows_nothing_of_the_video() -> None:
    prompts = [
        probe_prompt(one, ("lose", "win"), "A tennis player.") for one in ("person", "result")
    ]
    assert prompts[0].classes == ("recognised", "not recognised")
    assert prompts[1].classes == ("lose", "win")
    assert all(one.text.startswith("A tennis player.") for one in prompts)
    assert "name" in prompts[0].schema["required"]
    assert "Do not identify" not in prompts[0].system + prompts[0].text


def test_names_of_subjects_with_one_clip_each_are_not_judged(
    made: Callable[..., Material],
) -> None:
    found = recognition(made([0, 1, 0], [1, 1, 1], ["a", "b", None]))
    assert isinstance(found.named, Interval)
    assert found.consistent == ("not measurable: no subject has several clips that were answered")
    assert issubclass(NotMeasurableError, DataError)
