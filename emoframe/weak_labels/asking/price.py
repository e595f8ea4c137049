"""What a call costs, from a table of list prices with a date.

Prices live in `prices.yaml`, because they change more often than code, and users have contracts of
their own. Decided here: a row holds for every model whose name begins so, up to a `-`, `.`, `:`,
`@` or the end, since services append dates and versions; and whoever prices a model by a shorter
name is told so (`Match.said`), because a dearer sister of that name may exist. Reasoning is billed
as output. A model that no row fits has no price, which is not the same as being free.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Annotated

from annotated_types import Ge, Gt, Le
from pydantic import BaseModel, ConfigDict, field_validator

from emoframe.core.errors import DataError, suggest
from emoframe.labelling import Usage
from emoframe.weak_labels.yaml_files import read_file

SHIPPED = Path(__file__).with_name("prices.yaml")
_MILLION = 1_000_000
_Dollars = Annotated[float, Ge(0)]
_Share = Annotated[float, Ge(0), Le(1)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Tier(_Strict):
    """Prices for prompts up to a length, US dollars per million tokens.

    Attributes:
        input: Of the question.
        output: Of the answer and of reasoning.
        up_to: Most tokens of the question; None for any.
    """

    input: _Dollars
    output: _Dollars
    up_to: Annotated[int, Gt(0)] | None = None


class Price(_Strict):
    """One row of the table.

    Attributes:
        tiers: By the length of the question, the shortest first; the last is for any length.
        cached: Share of the price of input for what is read from a cache.
        batch: Share of the price in a batch.
        as_of: When it was looked up.
        source: Where.
    """

    tiers: tuple[Tier, ...]
    cached: _Share = 1.0
    batch: _Share = 1.0
    as_of: str = ""
    source: str = ""

    @field_validator("tiers")
    @classmethod
    def _in_order(cls, tiers: tuple[Tier, ...]) -> tuple[Tier, ...]:
        limits = [tier.up_to or 0 for tier in tiers[:-1]]
        if not tiers or tiers[-1].up_to or not all(limits) or limits != sorted(set(limits)):
            raise ValueError(
                "must begin with the shortest prompts; each tier has a larger `up_to` than the one "
                "before, the last has none"
            )
        return tiers

    def cost(self, usage: Usage, batch: bool = False) -> float:
        """Return what a call costs, in US dollars."""
        tier = next(
            (one for one in self.tiers if one.up_to is None or usage.input <= one.up_to),
            self.tiers[-1],
        )
        cached = min(usage.cached, usage.input)
        asked = (usage.input - cached + cached * self.cached) * tier.input
        said = (usage.output + usage.thoughts) * tier.output
        return (asked + said) / _MILLION * (self.batch if batch else 1.0)


Table = Mapping[str, Price]
"""Prices by the beginning of a model's name."""


class Match(_Strict):
    """The row that prices a model.

    Attributes:
        model: The model.
        name: How the row is called.
        price: The row.
    """

    model: str
    name: str
    price: Price

    @property
    def said(self) -> str:
        """Say by which row, of when, and whether that row is the model's own."""
        own = self.name == self.model
        what = f"{self.model} is priced" + ("" if own else f" as {self.name}, which begins so")
        return f"{what} ({self.price.as_of or 'no date'}, {self.price.source or 'no source'})"


class _File(_Strict):
    models: dict[str, Price]
    as_of: str = ""
    note: str = ""


def prices(file: Path | str | None = None) -> Table:
    """Read the table of prices.

    Args:
        file: A table of the user's own, whose rows come before the shipped ones; None for those
            alone.

    Raises:
        DataError: The file is no such table; all that is wrong is told at once.
    """
    shipped = _read(SHIPPED)
    if file is None:
        return shipped
    try:
        Path(file).open("rb").close()
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise DataError(f"--prices {file}: this file cannot be read ({why})") from error
    return {**shipped, **_read(Path(file))}


def find(model: str, table: Table | None = None) -> Match | None:
    """Return the row with the longest name that fits a model; None where none does."""
    table = prices() if table is None else table
    model = model.removeprefix("models/")  # as the Gemini API calls its own
    fitting = [name for name in table if _fits(model, name)]
    name = max(fitting, key=len, default=None)
    return None if name is None else Match(model=model, name=name, price=table[name])


def cost(model: str, usage: Usage, batch: bool = False, table: Table | None = None) -> float | None:
    """Return what a call costs.

    Args:
        model: `VLMLabeler.model`; empty for one that charges nothing.
        usage: Tokens of the call.
        batch: Whether it is part of a batch.
        table: Prices; the shipped ones where it is None.

    Returns:
        US dollars; None where no row fits the model.
    """
    if not model:
        return 0.0
    match = find(model, table)
    return None if match is None else match.price.cost(usage, batch)


def no_price(model: str, table: Table | None = None) -> str:
    """Say that a model has no price and what to do."""
    known = prices() if table is None else table
    known = [name for name in known if _digits(name) == _digits(model)]  # 5.9 is no slip for 4.1
    return (
        f"{model}: no price is known{suggest(model, known)}; write a row for it into a file of "
        f"your own (as {SHIPPED.name} of emoframe does) and name that with --prices"
    )


def _fits(model: str, name: str) -> bool:
    return model == name or (model.startswith(name) and model[len(name)] in "-.:@")


def _digits(name: str) -> str:
    return "".join(one for one in name if one.isdigit())


@cache
def _read(file: Path) -> Table:
    found = read_file(_File, file, "table of prices")
    return {
        name: price if price.as_of else price.model_copy(update={"as_of": found.as_of})
        for name, price in found.models.items()
    }
