"""The signature is the schema: what it allows passes, everything else is named at once."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from annotated_types import Gt

from emoframe.core.checker import Checker
from emoframe.core.component import KINDS
from emoframe.core.errors import ComponentError
from emoframe.core.schema import Part, describe, parameters, plain

POOLING = KINDS["pooling"]


@dataclass(frozen=True)
class Inner:
    """Inner.

    Attributes:
        size: How large.
        mode: Which way.
    """

    size: Annotated[int, Gt(0)] = 3
    mode: Literal["a", "b"] = "a"


@dataclass(frozen=True)
class Outer:
    """Outer.

    Attributes:
        needed: Must be there.
        inner: A section.
        many: Sections by name.
        pooling: A part.
        path: A file.
        maybe: A part or nothing.
        word: A word or a positive number.
    """

    needed: float
    inner: Inner = field(default_factory=Inner)
    many: dict[str, Inner] = field(default_factory=dict)
    pooling: Annotated[dict[str, Any], Part("pooling")] = field(
        default_factory=lambda: {"type": "mean"}
    )
    path: Path = Path("x")
    maybe: Annotated[dict[str, Any], Part("loss")] | None = None
    word: Literal["auto"] | Annotated[int, Gt(0)] = "auto"


def problems(data: dict[str, Any]) -> dict[str, str]:
    checker = Checker()
    assert checker.section(Outer, data) is None
    return {problem.path: problem.text for problem in checker.problems}


def test_defaults_are_filled_in_at_every_depth() -> None:
    filled = Checker().section(
        Outer, {"needed": 1, "many": {"x": {"size": 5}}, "maybe": {"type": "cross_entropy"}}
    )
    assert filled is not None
    assert filled.many == {"x": Inner(5, "a")}
    assert filled.maybe == {"type": "cross_entropy", "label_smoothing": 0.0, "balanced": False}
    assert plain(filled)["path"] == "x"


def test_every_problem_is_found_at_once() -> None:
    found = problems(
        {
            "neded": 1,
            "inner": {"size": 0, "mode": "c", "sise": 1},
            "many": {"x": {"size": "3"}},
            "pooling": {"type": "mean", "in_dim": 4},
            "maybe": {"type": "focal_loss"},
        }
    )
    assert "did you mean 'needed'" in found["neded"]
    assert found["needed"] == "is required: Must be there."
    assert found["inner.size"] == "must be int > 0, got 0"
    assert found["inner.mode"] == "must be 'a' | 'b', got 'c'"
    assert "did you mean 'size'" in found["inner.sise"]
    assert found["many.x.size"] == "must be int > 0, got '3'"
    assert "passed by the model" in found["pooling.in_dim"]
    assert "there is no loss 'focal_loss'" in found["maybe.type"]


@pytest.mark.parametrize("value", [None, "mean", 3, ["mean"], {"in_dim": 3}, {"type": 3}])
def test_a_part_must_be_a_mapping_with_a_type(value: Any) -> None:
    assert "mapping with `type`" in problems({"needed": 1, "pooling": value})["pooling"]


@pytest.mark.parametrize("value", [True, "1.0", None, [1.0], {"a": 1}])
def test_a_value_of_another_type_is_not_converted(value: Any) -> None:
    assert "must be float" in problems({"needed": value})["needed"]


@pytest.mark.parametrize("word", ["auto", 5])
def test_a_word_may_stand_beside_a_number_with_bounds(word: str | int) -> None:
    checker = Checker()
    section = checker.section(Outer, {"needed": 1.0, "word": word})
    assert section is not None and section.word == word
    assert "word" in problems({"needed": 1.0, "word": 0})


def test_an_entry_that_is_null_is_taken_away() -> None:
    filled = Checker().section(Outer, {"needed": 1.0, "many": {"x": None}})
    assert filled is not None
    assert filled.many == {}


class Positional:
    """Takes a positional parameter."""

    def __init__(self, size: int) -> None: ...


class Swallowing:
    """Takes anything."""

    def __init__(self, **kwargs: Any) -> None: ...


class Untyped:
    """Has no annotation."""

    def __init__(self, *, size) -> None: ...  # noqa: ANN001


class Unresolvable:
    """Names a type that is not there at run time."""

    def __init__(self, *, size: Nowhere) -> None: ...  # noqa: F821


@pytest.mark.parametrize("cls", [Positional, Swallowing, Untyped, Unresolvable])
def test_a_constructor_that_hides_its_schema_is_refused(cls: type[Any]) -> None:
    with pytest.raises(ComponentError, match=cls.__name__):
        parameters(cls, POOLING)


def test_types_are_named_as_a_person_would() -> None:
    assert describe(Annotated[int, Gt(0)]) == "int > 0"
    assert describe(str | None) == "str | null"
    assert describe(tuple[float, ...]) == "tuple of float"
    assert describe(inspect.signature) == "signature"
