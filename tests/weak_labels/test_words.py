"""What the lists of words promise: leaks are found, behaviour is not one, verdicts go."""

from __future__ import annotations

import pytest

from emoframe.weak_labels.words import is_refusal, leaks, sentences, without_verdict


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("This is clearly the player who lives in Monte Carlo.", "identity"),
        ("I recognise her from earlier years.", "identity"),
        ("A well-known face of the tour.", "identity"),
        ("She is the world number 2.", "identity"),
        ("He played at Roland-Garros before.", "identity"),
        ("He won the match in the end.", "result"),
        ("After losing the final she looks down.", "result"),
        ("The final score explains the mood.", "result"),
        ("She was knocked out.", "result"),
        ("It ended in straight sets.", "result"),
        ("The scoreboard shows a lead.", "screen"),
        ("A caption names the event.", "screen"),
        ("The text on the screen says so.", "screen"),
    ],
)
def test_a_text_that_betrays_more_than_behaviour_is_found(text: str, kind: str) -> None:
    assert kind in {leak.kind for leak in leaks(f"The head goes down. {text}")}
    assert {leak.sentence for leak in leaks(f"The head goes down. {text}")} == {text}


@pytest.mark.parametrize(
    "text",
    [
        "The lips are pressed together at 12.4 s and the gaze drops.",
        "For win: a smile that reaches the eyes, with raised cheeks.",
        "For lose: repeated rubbing of the neck.",
        "Rubs the eyes; scratches the back of the head. Confidence: win 0.70, lose 0.30.",
        "The hand is holding a cup and lifted the cup to the mouth.",
        "The shoulders rise as in a shrug, the open palms illustrate what is said.",
    ],
)
def test_what_is_said_of_behaviour_is_no_leak(text: str) -> None:
    assert leaks(text) == []


def test_names_are_found_whole_in_any_writing_and_in_part_with_their_capitals() -> None:
    names = ["Björn Rose", "Li Na"]
    assert [leak.kind for leak in leaks("It is BJORN ROSE.", names)] == ["name"]
    assert [leak.word for leak in leaks("Rose smiles.", names)] == ["bjorn rose"]
    assert leaks("The left shoulder rose.", names) == []
    assert [leak.word for leak in leaks("li na looks away.", names)] == ["li na"]
    assert leaks("Outlining.", names) == []
    assert leaks("Nothing here.", ["", "  "]) == []


def test_sentences_with_a_verdict_or_a_class_are_left_out_and_others_stay() -> None:
    text = "The lips part. She is winning. A wince, a wink at the window; he lost. Eyes close!"
    assert without_verdict(text, ["win", "lose"]) == (
        "The lips part. A wince, a wink at the window; Eyes close!"
    )


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("win", "Win is likely."),
        ("win", "All of it speaks for WINNING."),
        ("lose", "They are losing."),
        ("relaxed", "Seems relaxed"),
        ("hidden joy", "There is hidden-joy in it."),
        ("hidden_joy", "There is hidden joy in it."),
        ("勝ち", "これは勝ちです。"),
        ("überlegen", "wirkt Uberlegen"),
        ("+", "So it is +."),
        ("c++ (a|b", "It is C++ (a|b."),
    ],
)
def test_a_class_is_known_in_any_case_script_and_ending(name: str, text: str) -> None:
    assert without_verdict(text, [name, "other one"]) == ""


def test_texts_in_scripts_without_spaces_are_split_too() -> None:
    assert sentences("笑う。目を閉じる。 Then\nthis") == ["笑う。", "目を閉じる。", "Then", "this"]


@pytest.mark.parametrize(
    ("text", "refused"),
    [
        ("I can't help with that.", True),
        ("I can\u2019t help with that.", True),
        ("I'm sorry, but I cannot assess a person's emotions.", True),
        ('{"error": "I am unable to comply"}', True),
        ("The hands cannot be seen.", False),
        ("Sure! Here is the analysis.", False),
        ("", False),
    ],
)
def test_a_refusal_is_told_from_an_answer(text: str, refused: bool) -> None:
    assert is_refusal(text) is refused
