"""What codebooks and prior rules promise: codes stay as written, and a mistake says where it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from emoframe.core.errors import DataError
from emoframe.weak_labels.codebook import load_codebooks, load_rules

BOOK = """\
system: MINE
about: Ours.
codes:
  1: {name: One, region: face, description: first}
  on: {name: On, region: face, description: second}
  1e3: {name: Thousand, region: face, description: third}
  012: {name: Octal, region: face, description: fourth}
"""


def written(folder: Path, text: str, name: str = "book.yaml") -> str:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_shipped_codebooks_hold_the_published_numbers_and_names() -> None:
    facs, imigue = load_codebooks(["facs", "imigue"])
    assert (facs.system, imigue.system) == ("FACS", "IMIGUE")
    assert facs.codes["12"].name == "Lip Corner Puller"
    assert facs.codes["24"].name == "Lip Pressor"
    assert [*imigue.codes] == [str(n) for n in range(1, 33)]
    assert imigue.codes["7"].name == "Rubbing eyes"
    assert imigue.codes["17"].name == "Folding arms"


def test_the_one_published_rule_is_marked_as_the_papers_and_all_others_as_ours() -> None:
    rules = load_rules("post_match")
    assert {number: rule.source for number, rule in rules.items()} == {
        number: "paper" if number == "R1" else "emoframe" for number in rules
    }
    assert "face" in rules["R1"].text
    assert "sweat" in rules["R1"].text


def test_codes_that_yaml_takes_for_numbers_or_truths_stay_as_written(tmp_path: Path) -> None:
    (book,) = load_codebooks([written(tmp_path, BOOK)])
    assert [*book.codes] == ["1", "on", "1e3", "012"]


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        (BOOK.replace("  on:", "  1:"), 5, "'1' is given twice"),
        (BOOK.replace("  1e3:", "  ON:"), 3, "the code 'ON' is given twice (first as 'on')"),
        (BOOK.replace("name: One", 'name: ""'), 4, "codes.1.name is empty"),
        (BOOK.replace("  on:", '  "":'), 5, "is empty"),
        (
            BOOK.replace("region: face, description: third", "regions: face"),
            6,
            "regions is unknown",
        ),
        (BOOK.replace("first", "[a, b]"), 4, "codes.1.description must be text"),
        (BOOK.replace("system: MINE\n", ""), 1, "system is missing"),
        (BOOK.replace("system: MINE", "system: [MINE"), 2, "is no YAML"),
        (BOOK.replace("{name: One, region: face, description: first}", "One"), 4, "a mapping"),
        ("system: A\nabout: B\ncodes: {}\n", 3, "give at least one code"),
        ("? [a]\n: b\n", 1, "is no YAML"),
        ("a: 1\n---\na: 2\n", 2, "is no YAML"),
        (BOOK.replace("about:", "abuot:"), 2, "abuot is unknown; did you mean 'about'?"),
        ("a: &x [1]\nb: *x\n", 2, "aliases"),
        ("- just\n- a list\n", 0, "must be a mapping with the keys system, about, codes"),
        ("", 0, "must be a mapping"),
    ],
)
def test_a_mistake_names_its_file_and_line(tmp_path: Path, text: str, line: int, says: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(DataError) as caught:
        load_codebooks([path])
    assert says in str(caught.value)
    assert f"{path}:{line or ''}" in str(caught.value)


def test_all_mistakes_of_a_file_are_told_at_once(tmp_path: Path) -> None:
    text = BOOK.replace("name: One", 'name: ""').replace("description: second", "colour: red")
    with pytest.raises(DataError) as caught:
        load_codebooks([written(tmp_path, text)])
    assert len(str(caught.value).splitlines()) == 3


def test_a_file_that_is_no_text_or_nested_without_end_is_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "book.yaml"
    for content in (b"\xff\xfe\x00", b"[" * 5000):
        path.write_bytes(content)
        with pytest.raises(DataError, match="this codebook"):
            load_codebooks([str(path)])


@pytest.mark.parametrize("name", ["fcas", "no/such.yaml", "word " * 200])
def test_an_unknown_codebook_says_which_there_are(name: str) -> None:
    with pytest.raises(DataError, match="shipped: facs, imigue"):
        load_codebooks([name])


def test_two_codebooks_of_one_system_are_refused_and_so_is_none() -> None:
    with pytest.raises(DataError, match="the system 'FACS' is given twice"):
        load_codebooks(["facs", "facs"])
    with pytest.raises(DataError, match="name at least one"):
        load_codebooks([])


def test_a_system_that_the_paper_names_but_does_not_define_is_the_users_to_write(
    tmp_path: Path,
) -> None:
    (book,) = load_codebooks([written(tmp_path, BOOK.replace("MINE", "PGCS"))])
    assert book.system == "PGCS"


@pytest.mark.parametrize("numbers", [("R1", "R3"), ("R2",), ("R2", "R1"), ("1",), ("R01",), ()])
def test_rules_are_numbered_without_a_gap(tmp_path: Path, numbers: tuple[str, ...]) -> None:
    rows = "".join(f"  {number}: {{text: Something.}}\n" for number in numbers)
    path = written(tmp_path, f"rules:\n{rows}" if rows else "rules: {}\n")
    with pytest.raises(DataError, match="must be numbered R1, R2"):
        load_rules(path)


def test_a_users_rules_are_their_own(tmp_path: Path) -> None:
    rules = load_rules(written(tmp_path, "rules:\n  R1: {text: A nod may be a tic.}\n"))
    assert rules["R1"].source == "own"
