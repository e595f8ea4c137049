"""Where inputs come from: features travel without their videos, and a stage has one name."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from emoframe import api
from emoframe.core.errors import ConfigError, DataError
from emoframe.learning.sources import from_store
from emoframe.perception.bundle import export_bundle
from emoframe.perception.bundle_import import import_bundle
from emoframe.perception.pipeline import How
from emoframe.records import SampleRef

pytestmark = pytest.mark.usefixtures("parts_plugin")
CLASSES = ("win", "lose")


@pytest.fixture
def config(make_video: Callable[..., Path], tmp_path: Path) -> Path:
    """A config over twelve extracted videos."""
    lines = ["video,label,split,subject"]
    for n in range(12):
        video = make_video(f"{n}.mp4", frames=20 + n)
        lines.append(f"{video.name},{CLASSES[n % 2]},{'test' if n > 9 else 'train'},s{n}")
    (tmp_path / "videos.csv").write_text("\n".join(lines))
    file = tmp_path / "mine.yaml"
    file.write_text(
        "base: videos\n"
        f"dataset: {{type: manifest, path: {tmp_path / 'videos.csv'}}}\n"
        "features: {keypoints: pose_estimator}\n"
        "perception:\n"
        f"  store: {tmp_path / 'store'}\n"
        "  detector: {type: square}\n"
        "  pose_estimator: {type: centre}\n"
    )
    assert set(api.extract(file, how=How(workers=0))["status"]) == {"ok"}
    return file


@pytest.fixture
def elsewhere(config: Path, tmp_path: Path) -> list[str]:
    """Overrides for a machine on which there are the table and a bundle, and no video."""
    away = tmp_path / "away"
    away.mkdir()
    shutil.copy(tmp_path / "videos.csv", away)
    export_bundle(tmp_path / "store", away / "features.zip")
    import_bundle(away / "features.zip", away / "store")
    return [f"dataset.path={away / 'videos.csv'}", f"perception.store={away / 'store'}"]


def test_training_starts_from_a_bundle_with_no_video_present(
    config: Path, elsewhere: list[str], tiny: list[str], tmp_path: Path
) -> None:
    small = [item for item in tiny if not item.startswith("dataset.")]
    run = api.train(config, tmp_path / "run", [*elsewhere, *small])
    assert run.history()


def test_a_stage_is_named_by_as_much_of_its_key_as_tells_it_from_others(
    config: Path, elsewhere: list[str]
) -> None:
    key = api.stage_keys_of(api.load(config))["centre"]
    other = ["perception.pose_estimator={type: centre, pause_s: 0.001}"]
    named = api.load(config, [*elsewhere, *other, f"features.keypoints=centre@{key[:8]}"])
    assert named.perception is not None
    load = from_store(named.perception, named.features["keypoints"], "manifest:videos")
    assert len(load(SampleRef("3.mp4", video=Path("nowhere/3.mp4")))) == 23
    with pytest.raises(DataError, match=r"there is no such stage in the store .*centre@"):
        from_store(named.perception, "centre@0000", "manifest")
    with pytest.raises(ConfigError, match="must be one of 'dataset', 'pose_estimator', 'centre'"):
        api.load(config, ["features.keypoints=center"])


def test_a_video_that_neither_the_disk_nor_the_store_knows_is_a_sentence(
    config: Path, elsewhere: list[str]
) -> None:
    experiment = api.load(config, elsewhere)
    assert experiment.perception is not None
    load = from_store(experiment.perception, "centre", "manifest:videos")
    with pytest.raises(DataError, match=r"13\.mp4: there is no such file, and .*13\.mp4"):
        load(SampleRef("13.mp4", video=Path("13.mp4")))
