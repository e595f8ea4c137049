"""Whether anything of a data set may leave this machine: the user's word, asked for once.

Decided here: whatever its terms say, they are shown and have to be accepted by naming the data set.
A `yes` in them is the authors' word and not the user's; a `no` may have been lifted by letter.
Terms that changed are asked for again.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from emoframe.core.errors import DataError
from emoframe.weak_labels.store import LabelStore

FILE = "terms.yaml"


def check_private(name: str, uploads: bool, allowed: str) -> None:
    """Refuse a labeler that sends anything away where that is not allowed at all.

    Args:
        name: What the labeler is called.
        uploads: Whether it sends anything away.
        allowed: `privacy.upload`.

    Raises:
        DataError: It does and it is not.
    """
    if uploads and allowed != "allowed":
        raise DataError(
            f"vlm_labeler {name!r} sends what it is shown to a service, and privacy.upload is "
            f"{allowed!r}; nothing was read or sent. Set `privacy.upload: allowed` if that may be, "
            "or take a labeler that works on this machine, such as rules or transformers_vlm"
        )


def terms_of(dataset: Any) -> dict[str, Any]:
    """Return what may be done with a data set, as one line of which consent is asked and kept.

    Its own terms, or those of `terms.yaml` beside it; and where it lies (`of`), since two tables of
    one name are two data sets. Empty where neither is known.

    Raises:
        DataError: The file cannot be read.
    """
    places = [Path(p) for name in ("root", "path") if (p := getattr(dataset, name, None))]
    of = {"of": str(places[0].resolve())} if places else {}
    if told := getattr(dataset, "terms", None):
        return {**told, **of}
    files = [(place if place.is_dir() else place.parent) / FILE for place in places]
    file = next((file for file in files if file.is_file()), None)
    if file is None:
        return of
    try:
        told = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise DataError(f"{file}: cannot be read as terms ({error})") from error
    if not isinstance(told, dict):
        raise DataError(f"{file}: are no terms; `upload: yes, no or ask` is missing")
    return {**told, **of}


def check_consent(
    store: LabelStore, dataset: str, terms: Mapping[str, Any], accepted: str = ""
) -> None:
    """See that somebody allowed the upload of a data set, now or before, and remember it.

    Args:
        store: Where it is remembered.
        dataset: Name of the data set.
        terms: What `terms_of` said; consent to other terms, or of another place, is none.
        accepted: The data set for which the user accepts them now.

    Raises:
        DataError: Nobody did, or another data set was named.
    """
    if accepted and accepted != dataset:
        raise DataError(f"--i-may-upload {accepted}: the data set of this config is {dataset!r}")
    text = told(terms)
    known = store.consent(dataset)
    if known is not None and known.terms == text:
        return
    if not accepted:
        raise DataError(
            f"may anything of {dataset!r} be sent to a service? {_verdict(terms)}. Its terms: "
            f"{text}. Nothing was sent; if you may, say so once with --i-may-upload {dataset}"
        )
    store.add_consent(dataset, text)


def told(terms: Mapping[str, Any]) -> str:
    """Write terms in one line."""
    return "; ".join(f"{name}: {_word(value)}" for name, value in terms.items()) or "unknown"


def _verdict(terms: Mapping[str, Any]) -> str:
    said = {
        "yes": "Its terms allow it, which somebody has to have read",
        "no": "Its terms say no, so only if its authors have allowed it to you",
        "ask": "Its terms say that its authors have to be asked first",
    }
    return said.get(_word(terms.get("upload")), "No terms are known that say so")


def _word(value: Any) -> str:
    """Write a value as in the file: YAML takes a bare yes for a truth value."""
    return ("no", "yes")[value] if isinstance(value, bool) else str(value)
