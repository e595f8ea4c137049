"""What the key of a labeler promises: all that decides its answers is in it, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from emoframe.core.errors import ConfigError
from emoframe.core.plugins import loaded
from emoframe.perception import stages
from emoframe.weak_labels.asking.labelers import built, is_simulated


@pytest.fixture(scope="module", autouse=True)
def plugin() -> Iterator[None]:
    before = dict(loaded().offers)
    plugin = loaded().load_file(Path(__file__).with_name("parts.py"))
    yield
    loaded().plugins.remove(plugin)
    loaded().manager.unregister(name=plugin.name)
    for added in set(loaded().offers) - set(before):
        del loaded().offers[added]


def key(pose_key: str = "", **params: object) -> str:
    return built({"type": "remote", **params}, pose_key=pose_key)[1].key


def test_a_labeler_is_built_with_what_the_store_remembers_of_it() -> None:
    labeler, record = built({"type": "remote", "mood": "sour", "url": "http://nowhere"})
    assert labeler.url == "http://nowhere"
    assert record.config == {
        "type": "remote", "mood": "sour", "uploads": True, "looks": True, "model": "gpt-4o",
    }  # fmt: skip
    assert record.name == f"remote@{record.key[:8]}"
    assert (record.model, record.uploads, record.simulated) == ("gpt-4o", True, False)
    assert record.versions["emoframe"]
    with pytest.raises(ConfigError, match="moood"):
        built({"type": "remote", "moood": "sour"})


def test_the_key_holds_what_decides_an_answer_and_no_more() -> None:
    assert key() == key(mood="calm") == key(url="http://nowhere", seconds=2.0)
    assert key() != key(mood="sour")
    assert key() == key("aa")  # it reads no keypoints


def test_a_new_version_asks_again_only_where_the_answer_is_computed_here(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = {uploads: key(uploads=uploads) for uploads in (True, False)}
    monkeypatch.setattr(stages, "_versions", lambda *_: {"emoframe": "99"})
    assert key(uploads=True) == before[True]
    assert key(uploads=False) != before[False]
    assert built({"type": "remote"})[1].versions == {"emoframe": "99"}


def test_weights_and_keypoints_that_are_read_are_part_of_the_key(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    remote = type(built({"type": "remote"})[0])
    before = key()
    monkeypatch.setattr(remote, "reads_keypoints", True)
    assert len({before, key("aa"), key("bb")}) == 3
    monkeypatch.setattr(
        remote, "fingerprint", lambda self: {"weights": self.mood * 2}, raising=False
    )
    assert key("aa") not in {before, key("bb")}
    assert built({"type": "remote"})[1].config["fingerprint"] == {"weights": "calmcalm"}


def test_only_a_labeler_declared_to_be_simulated_is_given_the_truth(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert is_simulated({"type": "teacher"})
    assert not is_simulated({"type": "remote"})
    labeler, record = built({"type": "teacher"}, gold={"aa": 1})
    assert labeler.gold == {"aa": 1}
    assert record.simulated
    assert record.key == built({"type": "teacher"})[1].key
    assert "gold" not in vars(built({"type": "remote"}, gold={"aa": 1})[0])
    teacher = type(labeler)
    monkeypatch.setattr(teacher, "simulated", property(lambda self: True))
    with pytest.raises(ConfigError, match="needs gold"):  # and is not given any
        built({"type": "teacher"}, gold={"aa": 1})
