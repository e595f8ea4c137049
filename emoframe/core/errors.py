"""Every mistake that a user can make ends here, as a sentence.

A message says where, what was given, what is allowed and what to do. The command line prints it
without a traceback (`--debug` shows one) and exits with `EXIT_MISTAKE`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches

EXIT_DONE, EXIT_SOME_FAILED, EXIT_MISTAKE = 0, 1, 2


class EmoframeError(Exception):
    """Something that the user can mend; `str(error)` is a sentence that says how."""


class ComponentError(EmoframeError):
    """A part that is unknown, cannot be imported, or breaks the contract of its kind."""


class DataError(EmoframeError):
    """A data set, video or keypoint file that does not hold what it should."""


class RunError(EmoframeError):
    """A run folder or checkpoint that cannot be used as asked."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with a config.

    Attributes:
        path: Dotted path of the key.
        text: What is wrong and what is allowed.
        where: `file:line`, or `command line`; empty for configs made in Python.
    """

    path: str
    text: str
    where: str = ""

    def __str__(self) -> str:
        """One line, the place first."""
        return (
            f"{self.where or 'config'}  {self.path}: {self.text}"
            if self.path
            else f"{self.where or 'config'}  {self.text}"
        )


class ConfigError(EmoframeError):
    """A config with everything that is wrong with it, one line per problem."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        """Keep the problems for programs; `str` is for people."""
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


def suggest(given: str, known: Sequence[str]) -> str:
    """Say which known name was probably meant, as `; did you mean 'x'?`, or nothing."""
    near = get_close_matches(given, known, n=2, cutoff=0.6)
    return f"; did you mean {' or '.join(repr(name) for name in near)}?" if near else ""
