"""What judging an answer promises: no exception, no guess at a label, all mending told."""

from __future__ import annotations

import json
import math
import random
import time
from collections.abc import Callable
from typing import Any

import pytest

from emoframe.labelling import Prompt, Reply, WeakLabel
from emoframe.weak_labels.answers.fields import Answer
from emoframe.weak_labels.answers.parse import parse
from emoframe.weak_labels.prompt import build_prompt
from emoframe.weak_labels.settings import WeakLabels

PROMPT = build_prompt(WeakLabels(), ("win", "lose"))
SIMPLE = build_prompt(WeakLabels(prompt="simple"), ("win", "lose"))
LENGTH_S = 60.0
SMILE = "3.0 to 4.0 s: FACS 12 Lip Corner Puller (intensity B; goes along with joy): "
EYES = "30.0 to 32.5 s: IMIGUE 7 Rubbing eyes (left; goes along with tension): "
SEEN = [f"{SMILE}A short smile.", f"{EYES}The left hand rubs the eye."]
Data = dict[str, Any]
Change = Callable[[Data], Any]


def answer() -> Data:
    """An answer as it should be."""
    unit = {"confidence": 0.9, "side": "none", "intensity": "none", "emotions": ["tension"]}
    return {
        "units": [
            {**unit, "system": "IMIGUE", "code": "7", "name": "Rubbing eyes", "start_s": 30.0,
             "end_s": 32.5, "side": "left", "evidence": "The left hand rubs the eye."},
            {**unit, "system": "FACS", "code": "12", "name": "Lip Corner Puller", "start_s": 3.0,
             "end_s": 4.0, "intensity": "B", "emotions": ["joy"], "evidence": "A short smile."},
        ],
        "evidence": [
            {"class": "win", "text": "The smile.", "units": [1], "rules": ["R3"], "weight": 0.4},
            {"class": "lose", "text": "The eyes.", "units": [0], "rules": [], "weight": 0.5},
        ],
        "corrections": [{"rule": "R1", "evidence": 1, "text": "Rubbing eyes is neutral here."}],
        "confidences": [{"class": "win", "confidence": 0.7}, {"class": "lose", "confidence": 0.2}],
        "abstain": False,
        "note": "The smile is weak. A win is more likely.",
    }  # fmt: skip


def judged(change: Change | None = None, prompt: Prompt = PROMPT) -> tuple[str, str, Any]:
    data = answer()
    if change:
        change(data)
    return parse(Reply(json.dumps(data)), prompt, LENGTH_S)


def label(change: Change | None = None) -> WeakLabel:
    status, sentence, found = judged(change)
    assert (status, sentence) == ("ok", "")
    assert isinstance(found, WeakLabel)
    return found


def said(text: str, finish: Any = "stop", reason: str = "") -> tuple[str, str]:
    status, sentence, found = parse(Reply(text, finish, reason), PROMPT, LENGTH_S)
    assert (found is None) == (status != "ok")
    if found is not None:
        holds(found)
    return status, sentence


def holds(found: WeakLabel) -> None:
    """Whatever was sent: numbers in range, citations of what is there, a label that was stated."""
    for one in found.units:
        assert 0 <= one.start_s <= one.end_s <= LENGTH_S
        assert 0 <= one.confidence <= 1
        assert PROMPT.codes[one.system][one.code] == one.name
    for row in found.evidence:
        assert all(0 <= index < len(found.units) for index in row.units)
        assert set(row.rules) <= set(PROMPT.rules)
    assert all(0 <= row.evidence < len(found.evidence) for row in found.corrections)
    stated = found.confidence or ()
    assert all(0 <= value <= 1 for value in stated)
    if found.label is not None:
        assert sorted(stated)[-2] < stated[found.label]
    found.rationale.encode()


def confidences(*values: Any, classes: tuple[str, ...] = ("win", "lose")) -> Change:
    rows = [{"class": c, "confidence": v} for c, v in zip(classes, values, strict=True)]
    return lambda data: data.update(confidences=rows)


def unit(**fields: Any) -> Change:
    return lambda data: data["units"][0].update(fields)


# --- an answer as it should be ---


def test_a_valid_answer_becomes_a_label_and_nothing_is_mended() -> None:
    found = label()
    assert found.notes == ()
    assert (found.classes, found.confidence, found.label) == (("win", "lose"), (0.7, 0.2), 0)
    assert [u.code for u in found.units] == ["12", "7"]  # in the order of time
    assert (found.units[1].side, found.units[1].intensity) == ("left", "")
    assert [e.units for e in found.evidence] == [(0,), (1,)]  # citations follow
    assert found.evidence[0].rules == ("R3",)
    assert (found.corrections[0].rule, found.corrections[0].evidence) == ("R1", 1)
    assert found.simulated is False
    assert parse(Reply(json.dumps(answer())), PROMPT, LENGTH_S, simulated=True)[2].simulated  # type: ignore[union-attr]


@pytest.mark.parametrize("code", ["1+2", "AU1+2", "1, 2", "4/5", "1 + 2", "2-5"])
@pytest.mark.parametrize("name", ["", "Inner Brow Raiser"])
def test_two_codes_in_one_unit_are_not_read_as_a_third(code: str, name: str) -> None:
    found = label(lambda data: data["units"][1].update(code=code, name=name))
    assert [unit.code for unit in found.units] == ["7"]
    assert any("has no code" in note for note in found.notes)


def test_a_valid_answer_survives_its_own_models() -> None:
    given = answer()
    assert Answer.model_validate(given).model_dump(mode="json", by_alias=True) == given


def test_fields_that_a_prompt_did_not_ask_for_are_left_out_and_told() -> None:
    _, _, found = judged(prompt=SIMPLE)
    assert found.units == found.evidence == ()
    assert "not asked for were left out: units, evidence, corrections" in found.notes[0]
    assert found.label == 0


# --- confidences decide the label ---


def test_confidences_are_kept_as_stated_whatever_their_sum() -> None:
    assert label(confidences(0.9, 0.8)).confidence == (0.9, 0.8)
    assert label(confidences(0, 1)).confidence == (0.0, 1.0)


def test_classes_are_told_by_name_not_by_position() -> None:
    found = label(confidences(0.9, 0.1, classes=("lose", "win")))
    assert (found.confidence, found.label) == ((0.1, 0.9), 1)


@pytest.mark.parametrize(
    ("change", "confidence", "note"),
    [
        (confidences("0.7", 0.2), (0.7, 0.2), "read as a number"),
        (confidences("70%", "20 %"), (0.7, 0.2), "a percentage was read"),
        (confidences(0.7, 0.2, classes=("Win", "LOSE ")), (0.7, 0.2), "'Win' was read as 'win'"),
        (lambda d: d.update(confidences={"lose": 0.2, "win": 0.7}), (0.7, 0.2), "a mapping"),
        (confidences(0.7, 0.7, 0.2, classes=("win", "win", "lose")), (0.7, 0.2), ""),
        (lambda d: d.pop("abstain"), (0.7, 0.2), "abstain is missing"),
        (lambda d: d.update(abstain="false"), (0.7, 0.2), "abstain in text"),
    ],
)
def test_what_can_be_meant_in_one_way_is_mended_and_told(
    change: Change, confidence: tuple[float, ...], note: str
) -> None:
    found = label(change)
    assert found.confidence == confidence
    assert note in " ".join(found.notes)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (confidences(70, 20), "must be a number from 0 to 1, got 70"),
        (confidences(-0.1, 0.5), "got -0.1"),
        (confidences(1.01, 0.5), "got 1.01"),
        (confidences(math.nan, 0.5), "got nan"),
        (confidences(math.inf, 0.5), "got inf"),
        (confidences(10**400, 0.5), "from 0 to 1"),
        (confidences(True, 0.5), "got True"),
        (confidences("high", 0.5), "got 'high'"),
        (confidences("0,7", 0.5), "got '0,7'"),
        (confidences(None, 0.5), "confidence is missing"),
        (confidences([0.7], 0.5), "got a list"),
        (confidences("170%", "20%"), "got '170%'"),
        (confidences("70%", 0.2), "some confidences are percentages"),
        (confidences(0.7, 0.2, classes=("winning", "losing")), "'winning', which is no class"),
        (confidences(0.7, 0.2, classes=("ganar", "perder")), "'ganar', which is no class"),
        (confidences(0.7, 0.2, classes=("win", "win")), "give the class 'win' two values"),
        (confidences(0.7, classes=("win",)), "lack the class 'lose'"),
        (confidences(0.7, 0.2, 0.1, classes=("win", "lose", "draw")), "'draw', which is no class"),
        (lambda d: d.update(confidences=[]), "states no confidences"),
        (lambda d: d.pop("confidences"), "states no confidences"),
        (lambda d: d.update(confidences=[0.7, 0.2]), "must be a mapping"),
        (lambda d: d.update(confidences=0.7), "states no confidences"),
        (lambda d: d.update(abstain="perhaps"), "abstain must be true or false"),
    ],
)
def test_a_label_is_never_guessed(change: Change, says: str) -> None:
    status, sentence, found = judged(change)
    assert (status, found) == ("unparsable", None)
    assert says in sentence


def test_a_tie_abstains_and_so_does_whoever_says_so() -> None:
    tie = label(confidences(0.5, 0.5))
    assert (tie.label, tie.confidence) == (None, (0.5, 0.5))
    assert "counts as an abstention" in tie.notes[0]
    assert label(confidences(0, 0)).label is None
    assert label(lambda d: d.update(abstain=True)).label is None
    assert label(lambda d: d.update(abstain=True)).confidence == (0.7, 0.2)
    silent = label(lambda d: d.update(abstain=True, confidences=[]))
    assert (silent.label, silent.confidence) == (None, None)
    assert len(silent.units) == 2


# --- units hold against codebook and video ---


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (unit(start_s="0:30", end_s="00:32.5"), {"start_s": 30.0, "end_s": 32.5}),
        (unit(start_s="30.0 s", end_s="00:00:32"), {"start_s": 30.0, "end_s": 32.0}),
        (unit(start_s=-2, end_s=4), {"start_s": 0.0, "end_s": 4.0}),
        (unit(end_s=61), {"end_s": 60.0}),
        (unit(code=7), {"code": "7"}),
        (unit(code="007"), {"code": "7"}),
        (unit(code="MG7"), {"code": "7"}),
        (unit(code="IMIGUE-7"), {"code": "7"}),
        (unit(code="rubbing  eyes"), {"code": "7"}),
        (unit(code="x"), {"code": "7"}),  # its name says which
        (unit(system="imigue"), {"system": "IMIGUE"}),
        (unit(system="FACS", code="AU12", name=""), {"code": "12", "name": "Lip Corner Puller"}),
        (unit(system="FACS", code="L 12 C", name="", side="none"),
         {"code": "12", "side": "left", "intensity": "C"}),
        (unit(system="FACS", code="R12", name="", side="left"), {"code": "12", "side": "left"}),
        (unit(name="the hand goes to the eyes"), {"name": "Rubbing eyes"}),
        (unit(side="L"), {"side": "left"}),
        (unit(side="upper"), {"side": ""}),
        (unit(side=None, intensity=None, emotions=None, evidence=None), {"evidence": ""}),
        (unit(confidence="90%"), {"confidence": 0.9}),
        (unit(evidence="a\ud800b\x00\n c"), {"evidence": "a\ufffdb c"}),
    ],
)  # fmt: skip
def test_a_unit_that_is_clear_is_kept(change: Change, expected: Data) -> None:
    found = label(change)
    assert len(found.units) == 2
    assert any(
        all(getattr(one, key) == value for key, value in expected.items()) for one in found.units
    )


@pytest.mark.parametrize(
    ("change", "note"),
    [
        (unit(system="PGCS"), "'PGCS' is no codebook asked for (FACS, IMIGUE)"),
        (unit(code="700", name=""), "IMIGUE has no code '700'"),
        (unit(code="6+12", name=""), "has no code '6+12'"),
        (unit(code="11"), "IMIGUE 11 is Touching jaw, not Rubbing eyes"),
        (unit(start_s=60.0, end_s=61), "outside the video of 60.0 s"),
        (unit(start_s=-5, end_s=-1), "outside the video"),
        (unit(start_s=33), "ends before it begins"),
        (unit(start_s=math.nan), "start_s must be a time in seconds, got nan"),
        (unit(start_s=10**400), "start_s must be a time in seconds"),
        (unit(start_s="soon"), "start_s must be a time in seconds, got 'soon'"),
        (unit(start_s="1:75"), "got '1:75'"),
        (unit(start_s=None), "start_s is missing"),
        (unit(confidence=9), "confidence must be a number from 0 to 1, got 9"),
        (unit(emotions="joy"), "an entry of units was left out: emotions"),
        (lambda d: d["units"].insert(0, "smile"), "must be a mapping, got 'smile'"),
    ],
)
def test_a_unit_that_cannot_be_is_left_out_and_told(change: Change, note: str) -> None:
    found = label(change)
    assert len(found.units) == (1 if "smile" not in note else 2)
    assert note in " ".join(found.notes)
    assert found.label == 0


def test_where_the_length_is_not_known_no_time_is_clipped() -> None:
    data = answer()
    data["units"][0].update(end_s=900.0)
    _, _, found = parse(Reply(json.dumps(data)), PROMPT, 0.0)
    assert found is not None
    assert [one.end_s for one in found.units] == [4.0, 900.0]


def test_citations_of_what_was_left_out_go_too() -> None:
    found = label(unit(code="700", name=""))
    assert [e.units for e in found.evidence] == [(0,), ()]
    assert "cited a unit that is not there" in " ".join(found.notes)
    found = label(lambda d: d["evidence"][0].update({"class": "draw"}))
    assert [e.label for e in found.evidence] == ["lose"]
    assert found.corrections[0].evidence == 0
    found = label(lambda d: d["evidence"].pop())
    assert found.corrections == ()
    assert "it names evidence that is not there" in " ".join(found.notes)


def test_rules_are_known_in_the_ways_they_are_written() -> None:
    found = label(lambda d: d["evidence"][0].update(rules=["r1", "2", "Rule 3", "R99", "none"]))
    assert found.evidence[0].rules == ("R1", "R2", "R3")
    assert "cited a rule that is not there" in " ".join(found.notes)


def test_lists_that_are_none_leave_the_label() -> None:
    found = label(lambda d: (d.pop("units"), d.update(evidence="much", note=5)))
    assert found.units == found.evidence == ()
    assert {"units is missing", "evidence is no list and was left out"} <= set(found.notes)


def test_many_equal_notes_are_one() -> None:
    found = label(lambda d: d.update(units=[{**d["units"][0], "code": "700", "name": ""}] * 900))
    assert "(900 times)" in found.notes[0]
    found = label(lambda d: d.update(units=[{"system": f"S{n}"} for n in range(900)]))
    assert len(found.notes) <= 51
    clutter = [{**answer()["units"][0], "system": f"S{n}"} for n in range(900)]
    assert len(label(lambda d: d.update(units=clutter)).notes) == 51


# --- texts that are not just JSON ---


@pytest.mark.parametrize(
    "wrap",
    ["```json\n{}\n```", "Here it is:\n```\n{}\n```\nGood luck!", "{}\n{}", "[{}]", "a {{b}} {}"],
)
def test_fences_and_prose_around_the_json_are_left_out(wrap: str) -> None:
    plain = json.dumps(answer(), indent=1)
    text = wrap.replace("{{b}}", "\0").replace("{}", plain).replace("\0", "{b}")
    status, _, found = parse(Reply(text), PROMPT, LENGTH_S)
    assert status == "ok"
    assert found is not None
    prose = wrap.startswith(("Here", "[", "a ", "{}\n{}"))
    assert found.notes == (("text around the JSON was left out",) if prose else ())


def test_a_cut_answer_is_never_completed() -> None:
    text = json.dumps(answer())
    for end in range(len(text)):
        status, sentence = said(text[:end], "length")
        assert status == "unparsable"
        assert "token limit" in sentence
    assert "inside 'evidence'" in said(text[: text.index("The eyes.")], "length")[1]
    assert said(text, "length") == ("ok", "")
    assert "breaks off inside 'units'" in said(text[:200])[1]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (json.dumps(answer())[:-1] + ",}", "no valid JSON at line 1"),
        (str(answer()), "no valid JSON"),
        ('{"abstain": false, "abstain": true}', "'abstain' is given twice"),
        ('{"type": "object", "properties": {}}', "none of the fields units"),
        ('{"abstain": ' + "[" * 50_000 + "]" * 50_000 + "}", "nested too deeply"),
        ('{"abstain": ' + '{"a":' * 50_000 + "1" + "}" * 50_001, "nested too deeply"),
        ('{"confidences": ' + "9" * 5000 + "}", "cannot be read"),
        ("He seems to have won.", "no JSON object; it begins with 'He seems"),
        ("{" * 500_000, "never closed"),
        ("x" * 1_000_001, "1000000 are read at most"),
        ('{"note": "\ud800"}', "states no confidences"),
    ],
)
def test_a_text_that_is_no_answer_says_why(text: str, says: str) -> None:
    status, sentence = said(text)
    assert status == "unparsable"
    assert says in sentence
    assert len(sentence) < 500


@pytest.mark.parametrize(
    ("text", "finish", "status", "says"),
    [
        ("", "blocked", "blocked", "withheld the answer (SAFETY)"),
        (json.dumps(answer()), "blocked", "blocked", "withheld"),
        ("No.", "refused", "refused", "declined to answer (SAFETY)"),
        ("I can't help with that.", "stop", "refused", "I can't help with that."),
        ('{"error": "I am unable to assist"}', "stop", "refused", "unable"),
        ("I cannot say who it is: " + json.dumps(answer()), "stop", "ok", ""),
        ("I cannot say who it is: " + json.dumps(answer())[:99], "length", "unparsable", "cut"),
        ("", "empty", "unparsable", "answered nothing (SAFETY)"),
        (" \n", "stop", "unparsable", "answered nothing"),
        ("", "length", "unparsable", "before the token limit"),
    ],
)
def test_how_a_model_ended_decides_the_status(
    text: str, finish: Any, status: str, says: str
) -> None:
    got, sentence = said(text, finish, "SAFETY")
    assert got == status
    assert says in sentence


def test_no_text_makes_parsing_raise() -> None:
    text = json.dumps(answer())
    rng = random.Random(0)
    pieces = ['"', "{", "}", "[", "]", ",", ":", "null", "NaN", "-1e999", "\\", "\\ud800", "\x00",
              "true", '"a"', "{}", "1" * 400, "\u202e", "%", "e"]  # fmt: skip
    for _ in range(600):
        broken = text
        for _ in range(rng.randint(1, 4)):
            start = rng.randrange(len(broken) + 1)
            end = min(len(broken), start + rng.choice([0, 1, 1, 5, 40]))
            broken = broken[:start] + rng.choice(pieces) + broken[end:]
        finish = rng.choice(["stop", "length"])
        status, sentence = said(broken, finish)
        assert status == "ok" or sentence
    for _ in range(200):
        said(
            "".join(chr(rng.choice([34, 58, 91, 93, 123, 125, 0xD800, 0x1F600])) for _ in range(40))
        )


def test_values_of_any_type_in_any_place_make_a_sentence_or_a_note() -> None:
    values: list[Any] = [
        None,
        True,
        0,
        -1,
        1e308,
        math.nan,
        "",
        "x",
        [],
        [[]],
        {},
        {"a": 1},
        10**400,
    ]

    def places(node: Any) -> list[tuple[Any, Any]]:
        keys = [*node] if isinstance(node, dict) else range(len(node))
        inner = [node[key] for key in keys if isinstance(node[key], dict | list)]
        return [(node, key) for key in keys] + [p for child in inner for p in places(child)]

    for number in range(len(places(answer()))):
        for value in values:
            data = answer()
            node, key = places(data)[number]
            node[key] = value
            said(json.dumps(data))


def test_a_large_answer_is_read_in_seconds() -> None:
    many = label_text = answer()
    label_text["units"] = [many["units"][0]] * 2500
    start = time.monotonic()
    assert said(json.dumps(label_text)) == ("ok", "")
    assert said('{"a":1}' * 100_000)[0] == "unparsable"
    assert time.monotonic() - start < 10


# --- the rationale ---


def test_the_rationale_says_what_was_seen_argued_corrected_and_concluded() -> None:
    assert label().rationale.splitlines() == [
        *SEEN,
        "For win (weight 0.40; Lip Corner Puller; R3): The smile.",
        "For lose (weight 0.50; Rubbing eyes): The eyes.",
        "Corrected by R1: Rubbing eyes is neutral here.",
        "Confidence: win 0.70, lose 0.20.",
        "Verdict: win.",
        "Note: The smile is weak. A win is more likely.",
    ]


def test_the_rationale_without_verdict_holds_no_class_no_argument_and_no_confidence() -> None:
    bare = label().rationale_no_verdict
    assert bare.splitlines() == [
        *SEEN,
        "Corrected by R1: Rubbing eyes is neutral here.",
        "Note: The smile is weak.",
    ]
    betraying = unit(evidence="Rubs the eye. As losers do!", emotions=["defeat", "tension"])
    bare = label(betraying).rationale_no_verdict
    assert "(left; goes along with tension): Rubs the eye." in bare
    assert "lose" not in bare
    assert "defeat" not in bare


def test_without_verdict_nothing_tells_which_way_the_model_leant() -> None:
    swapped = confidences(0.2, 0.7)
    assert label(swapped).rationale != label().rationale
    assert label(swapped).rationale_no_verdict == label().rationale_no_verdict
    assert label(lambda d: d.update(note="")).rationale_no_verdict.endswith("neutral here.")


def test_an_abstention_says_so() -> None:
    assert "Verdict: none." in label(confidences(0.5, 0.5)).rationale
