"""What may stand in one table: results that answer the same question, and no others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from emoframe.core.errors import DataError


def one_protocol(protocols: Iterable[str]) -> None:
    """Refuse results of different protocols, which answer different questions.

    Raises:
        DataError: There are several; a copy that is not whole makes a protocol of its own.
    """
    names = dict.fromkeys(protocols)
    if len(names) > 1:
        raise DataError(
            f"results of the protocols {' and '.join(names)} never stand in one table; put each "
            "protocol into an ablation, or a test, of its own"
        )


def one_mode(modes: Mapping[str, str]) -> None:
    """Refuse inductive beside transductive results, which answer different questions.

    Args:
        modes: By the name of what has it; empty for what learned from no weak label.

    Raises:
        DataError: There are both.
    """
    named = {mode: name for name, mode in modes.items() if mode}
    if len(named) > 1:
        said = " and ".join(f"{name} is {mode}" for mode, name in named.items())
        raise DataError(
            f"{said}: weak labels on the items that are judged, and on others, answer different "
            "questions and never stand in one table; give each mode a table of its own"
        )
