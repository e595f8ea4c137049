"""Words in texts of models: what betrays a known person, event or result, a verdict, a refusal.

The lists stand in `words.yaml`. Decided here: matching is by whole words without regard to case and
accents; the lists are English, as the prompts ask for, so that a text in another language passes
unseen; a text without a listed word is no proof that nothing was recognised, which is why
`emoframe labels probe` asks.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Sequence
from typing import Literal, NamedTuple

from emoframe.weak_labels.yaml_files import FOLDER, Plain, Words, read_file

Betrays = Literal["identity", "result", "screen", "name"]
STOPS = ".!?;\u3002\uff01\uff1f\uff1b"
"""Marks that end a sentence, those of Chinese and Japanese included."""
_ENDINGS = r"(?:s|es|d|ed|ing|r|er|ers|ly|ness|ful|ity)?"


class Leak(NamedTuple):
    """A word that should not be there.

    Attributes:
        kind: What it betrays: who is seen, a known result, that text in the picture was read, or a
            name that was looked for.
        word: As written, without accents and capitals.
        sentence: Where it stands.
    """

    kind: Betrays
    word: str
    sentence: str


class _Lists(Plain):
    identity: list[Words]
    result: list[Words]
    screen: list[Words]
    verdict: list[Words]
    refusal: list[Words]


def cleaned(text: str) -> str:
    """Return text on one line, without control characters and halves of surrogate pairs."""
    whole = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    kept = (" " if unicodedata.category(letter) == "Cc" else letter for letter in whole)
    return " ".join("".join(kept).split())


def folded(text: str) -> str:
    """Return what of a name counts when two are compared: not case, width or spaces."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def leaks(text: str, extra_names: Sequence[str] = ()) -> list[Leak]:
    """Find words by which a text betrays more than nonverbal behaviour.

    Args:
        text: A rationale, or any answer of a model.
        extra_names: Names of persons, clubs or events to look for too. A whole name counts however
            it is written; one of its words counts only with the capitals of the name, since many
            surnames are common words.

    Returns:
        One entry per word found, in the order of the text.
    """
    found: list[Leak] = []
    for sentence in sentences(text):
        plain = _plain(sentence)
        for kind in ("identity", "result", "screen"):
            found += [Leak(kind, match[0], sentence) for match in _pattern(kind).finditer(plain)]
        for name in extra_names:
            if _names(name, sentence, plain):
                found.append(Leak("name", _plain(name), sentence))
    return found


def without_verdict(text: str, classes: Sequence[str]) -> str:
    """Return those sentences of a text that name no class and hold no word of a verdict."""
    return " ".join(
        sentence
        for sentence in sentences(text)
        if not _pattern("verdict").search(_plain(sentence))
        and not any(_class_pattern(name).search(_plain(sentence)) for name in classes)
    )


def is_refusal(text: str) -> bool:
    """Whether a model declines to answer; judged by how its text begins."""
    return bool(_pattern("refusal").search(_plain(cleaned(text[:400]))))


def sentences(text: str) -> list[str]:
    """Split a text into sentences, after a mark of punctuation and at the end of a line."""
    parts = re.split(rf"(?<=[{STOPS[:4]}])\s+|(?<=[{STOPS[4:]}])|\n+", text)
    return [part.strip() for part in parts if part.strip()]


def _plain(text: str) -> str:
    """Take case, accents and typographic apostrophes away."""
    letters = unicodedata.normalize("NFKD", text.replace("\u2019", "'"))
    return "".join(c for c in letters if not unicodedata.combining(c)).casefold()


@functools.cache
def _pattern(kind: str) -> re.Pattern[str]:
    """Compile one of the lists; its words hold no other signs of patterns than `( | ) *`."""
    words = getattr(read_file(_Lists, FOLDER / "words.yaml", "list of words"), kind)
    marks = {"(": "(?:", ")": ")", "|": "|", "*": r"\w*", " ": r"[\s-]+", "-": r"[\s-]+"}
    parts = ["".join(marks.get(c, re.escape(c)) for c in _plain(word)) for word in words]
    joined = "|".join(parts)
    return re.compile(rf"(?<!\w)(?:{joined})(?!\w)")


@functools.lru_cache(maxsize=256)
def _class_pattern(name: str) -> re.Pattern[str]:
    """Match a class name with its usual English endings; scripts without spaces match anywhere."""
    words = [re.escape(word) for word in re.split(r"[\W_]+", _plain(name)) if word]
    if not words:  # nothing but signs
        return re.compile(re.escape(_plain(name)))
    joined = r"[\W_]+".join(words)
    if any(unicodedata.category(letter) == "Lo" for letter in name):
        return re.compile(joined)
    last = words[-1][-1]
    stem = f"(?:{joined}{last}?{_ENDINGS}" + (f"|{joined[:-1]}(?:ing|er))" if last == "e" else ")")
    return re.compile(rf"(?<![^\W_]){stem}(?![^\W_])")


def _names(name: str, sentence: str, plain: str) -> bool:
    """Whether a sentence names somebody."""
    whole = re.escape(_plain(name).strip())
    if whole and re.search(rf"(?<!\w){whole}(?!\w)", plain):
        return True
    parts = [part for part in name.split() if len(part) >= 3 and part[0].isupper()]
    return any(re.search(rf"(?<!\w){re.escape(part)}(?!\w)", sentence) for part in parts)
