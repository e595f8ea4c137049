"""What privacy promises: nothing leaves unless the user said so, twice, and saw the terms."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from emoframe.core.errors import DataError
from emoframe.learning.datasets.imigue import Imigue
from emoframe.learning.datasets.manifest import Manifest
from emoframe.weak_labels.asking.consent import check_consent, check_private, terms_of
from emoframe.weak_labels.store import LabelStore


def test_a_labeler_that_uploads_is_refused_unless_the_config_allows_it() -> None:
    check_private("rules", False, "never")
    check_private("gemini", True, "allowed")
    with pytest.raises(DataError, match=r"'gemini' sends.*privacy.upload.*nothing was read"):
        check_private("gemini", True, "never")


@pytest.mark.parametrize(
    ("terms", "says"),
    [
        ({}, "No terms are known that say so. Its terms: unknown"),
        ({"upload": "ask", "agreement": "by letter"}, "authors have to be asked first"),
        ({"upload": "no"}, "Its terms say no, so only if its authors have allowed it to you"),
        ({"upload": False}, "Its terms say no"),  # YAML reads a bare no so
        ({"upload": "yes"}, "Its terms allow it, which somebody has to have read"),
    ],
)
def test_terms_are_shown_and_accepted_once(
    tmp_path: Path, terms: dict[str, object], says: str
) -> None:
    with LabelStore(tmp_path / "labels.sqlite") as store:
        with pytest.raises(DataError, match=says) as refused:
            check_consent(store, "imigue", terms)
        assert "say so once with --i-may-upload imigue" in str(refused.value)
        with pytest.raises(DataError, match="the data set of this config is 'imigue'"):
            check_consent(store, "imigue", terms, "other")
        check_consent(store, "imigue", terms, "imigue")
        check_consent(store, "imigue", terms)
        with pytest.raises(DataError, match="--i-may-upload other"):
            check_consent(store, "other", terms)
        with pytest.raises(DataError, match="stricter"):
            check_consent(store, "imigue", {**terms, "agreement": "stricter"})


def test_terms_are_the_data_sets_own_or_lie_beside_it(tmp_path: Path) -> None:
    assert terms_of(Imigue(root=tmp_path, protocol="miga_emotion"))["upload"] == "ask"
    table = SimpleNamespace(path=tmp_path / "table.csv")
    of = {"of": str(tmp_path / "table.csv")}
    assert terms_of(table) == of and terms_of(SimpleNamespace()) == {}
    (tmp_path / "terms.yaml").write_text("upload: no\n")
    assert terms_of(table) == {"upload": False, **of}
    (tmp_path / "terms.yaml").write_text("- nothing")
    with pytest.raises(DataError, match="are no terms"):
        terms_of(table)


def test_consent_to_one_table_is_none_to_another_of_the_same_name(tmp_path: Path) -> None:
    with LabelStore(tmp_path / "labels.sqlite") as store:
        one, other = (terms_of(Manifest(path=tmp_path / name / "videos.csv")) for name in "ab")
        check_consent(store, "manifest:videos", one, "manifest:videos")
        check_consent(store, "manifest:videos", one)
        with pytest.raises(DataError, match="may anything of"):
            check_consent(store, "manifest:videos", other)
