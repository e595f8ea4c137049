"""What may be seen and how it is called, and what must be known before it is interpreted.

Codebooks and prior rules are YAML files, so that users add their own. Decided here: the name of a
system is open. The paper's prompt names FACS, PGCS and GACS (W2S-25), but neither it nor any source
that was found says what the latter two hold; a codebook of that name is the user's to write, ours
would be an invention. A unit that moves on one side only has the code of the unit, and its side
beside it. Rules are numbered R1 to Rn without a gap, and each says whose it is: one of the paper's
is published (W2S-26), the others that are shipped are emoframe's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import field_validator

from emoframe.core.errors import DataError
from emoframe.weak_labels.words import folded
from emoframe.weak_labels.yaml_files import Plain, Words, read


class Code(Plain):
    """One thing that may be seen.

    Attributes:
        name: What the system calls it.
        region: The part of the person that does it.
        description: What it looks like.
    """

    name: Words
    region: Words
    description: Words


class Codebook(Plain):
    """A system of codes.

    Attributes:
        system: Its name, such as `FACS`.
        about: What it is, and how its codes are written, in words for the model.
        codes: By code.
    """

    system: Words
    about: Words
    codes: dict[Words, Code]

    @field_validator("codes")
    @classmethod
    def _distinct(cls, codes: dict[str, Code]) -> dict[str, Code]:
        if not codes:
            raise ValueError("is empty; give at least one code")
        _no_twins([*codes], "code")
        return codes


class Rule(Plain):
    """A prior rule.

    Attributes:
        text: What it says, in words for the model.
        source: `paper` where it is published with the method, `emoframe` where it is ours, `own`
            in files of users.
    """

    text: Words
    source: Literal["paper", "emoframe", "own"] = "own"


class PriorRules(Plain):
    """A numbered set of prior rules.

    Attributes:
        rules: By number, `R1` to `Rn`.
    """

    rules: dict[str, Rule]

    @field_validator("rules")
    @classmethod
    def _numbered(cls, rules: dict[str, Rule]) -> dict[str, Rule]:
        wanted = [f"R{n}" for n in range(1, len(rules) + 1)]
        if [*rules] != wanted or not rules:
            raise ValueError(
                f"must be numbered R1, R2, ... in order and without a gap, got "
                f"{', '.join(rules) or 'none'}"
            )
        return rules


def load_codebooks(names: Sequence[str]) -> list[Codebook]:
    """Read codebooks, shipped ones by name or the user's by path.

    Raises:
        DataError: One cannot be read, or two are of the same system.
    """
    books = [read(Codebook, name, "codebooks", "codebook") for name in names]
    if not books:
        raise DataError("no codebook is given; name at least one, such as facs")
    try:
        _no_twins([book.system for book in books], "system")
    except ValueError as error:
        raise DataError(f"codebooks {', '.join(names)}: {error}") from error
    return books


def load_rules(name: str) -> dict[str, Rule]:
    """Read prior rules by number, a shipped set by name or the user's by path.

    Raises:
        DataError: They cannot be read.
    """
    return read(PriorRules, name, "prior_rules", "set of prior rules").rules


def _no_twins(names: Sequence[str], what: str) -> None:
    """Refuse names that an answer could not tell apart.

    Raises:
        ValueError: Two differ in nothing but case and spaces.
    """
    first: dict[str, str] = {}
    for name in names:
        if (twin := first.get(folded(name))) is not None:
            raise ValueError(f"the {what} {name!r} is given twice (first as {twin!r})")
        first[folded(name)] = name
