"""What an extraction promises of files that are broken or odd: each is done or fails in a sentence.

`broken_media.py` makes the files and says what must become of each. All are extracted in one call,
by small parts that find a red, blue or white rectangle, so that a done one is known to be upright.
"""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emoframe.core.errors import EXIT_SOME_FAILED
from emoframe.perception.events import Row
from emoframe.perception.pipeline import extract
from emoframe.perception.settings import Perception
from emoframe.perception.stages import Parts, StagePart
from emoframe.perception.video import read
from emoframe.records import Boxes, Frames, Keypoints, Track

HERE = Path(__file__).parent
_spec = importlib.util.spec_from_file_location("broken_media", HERE / "broken_media.py")
assert _spec is not None
assert _spec.loader is not None
media = importlib.util.module_from_spec(_spec)
sys.modules["broken_media"] = media  # its dataclass looks there for its annotations
_spec.loader.exec_module(media)
CASES = media.CASES
WHOLE = [name for name in CASES if name.startswith("whole.")]
BROKEN = ("cut", "lost", "overwritten", "no_key", "duration", "pasted", "one_byte", "times_back")


class Rectangles:
    """Finds at most one red, one blue and one white rectangle in each frame."""

    def detect(self, frames: Frames) -> list[Boxes]:
        red, green, blue = np.moveaxis(frames.rgb.astype(np.int16), -1, 0)
        colours = np.stack(
            [red - np.maximum(green, blue) > 70, blue - np.maximum(green, red) > 70,
             np.minimum(np.minimum(red, green), blue) > 150]
        )  # fmt: skip
        return [self._boxes(colours[:, t]) for t in range(len(frames))]

    def _boxes(self, found: np.ndarray) -> Boxes:
        places = [np.nonzero(mask) for mask in found if mask.any()]
        boxes = [(x.min(), y.min(), x.max() + 1, y.max() + 1) for y, x in places]
        return Boxes(np.reshape(boxes, (-1, 4)).astype(np.float32), np.ones(len(boxes), np.float32))


class Middle:
    """Takes the middle of the box for the nose."""

    layout = "openpose_137"

    def estimate(self, chunks: Iterable[Frames], track: Track) -> Iterator[Keypoints]:
        for frames in chunks:
            box = track.box[frames.index]
            xy = np.full((len(frames), 137, 2), np.nan, np.float32)
            xy[:, 0] = (box[:, :2] + box[:, 2:]) / 2
            valid = np.isfinite(xy).all(axis=2)
            yield Keypoints(xy, valid.astype(np.float32), valid, frames.time_s, self.layout)


def run(videos: Iterable[Path], store: Path) -> list[Row]:
    parts = Parts(StagePart("rectangles", Rectangles()), StagePart("middle", Middle()))
    return extract(videos, Perception(store=store), parts=parts)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of all the files, and of the store that one run made of them."""
    folder = tmp_path_factory.mktemp("broken")
    media.make_all(folder)
    return folder


@pytest.fixture(scope="module")
def rows(folder: Path) -> dict[str, list[Row]]:
    """What one run over all files told of each."""
    told: dict[str, list[Row]] = {name: [] for name in CASES}
    for row in run([folder / name for name in CASES], folder / "store"):
        told[row.video.name].append(row)
    return told


def test_each_file_has_one_result(rows: dict[str, list[Row]]) -> None:
    ends = Counter(
        "failed" if told[-1].status == "failed" else "done" for told in rows.values() if told
    )
    expected = Counter("failed" if case.frames is None else "done" for case in CASES.values())
    assert ends == expected
    assert ends.total() == len(CASES) >= 30
    stages = [[row.stage for row in told] for told in rows.values()]
    assert all(len(set(names)) == len(names) for names in stages)


@pytest.mark.parametrize("name", CASES, ids=ascii)
def test_a_file_ends_as_it_must(rows: dict[str, list[Row]], folder: Path, name: str) -> None:
    case, told = CASES[name], rows[name]
    statuses = [row.status for row in told]
    if case.frames is None:
        assert statuses.count("failed") >= 1, f"looks whole: {told}"
        reason = told[-1].reason
        assert re.search(case.reason, reason)
        assert told[-1].frames == 0
        assert_sentence(reason, folder / name)
        return
    assert not [row.reason for row in told if row.status == "failed"]
    assert {row.stage for row in told} >= {"rectangles", "middle"}
    wanted = case.frames if isinstance(case.frames, range) else [case.frames]
    assert {row.frames for row in told} <= set(wanted)
    assert len({row.frames for row in told}) == 1
    assert_upright(folder / name, case)


def assert_sentence(reason: str, path: Path) -> None:
    """A reason names the file, says what to do, and fits one line of any terminal."""
    assert reason.isprintable()
    assert ascii(path.name)[1:-1] in reason
    assert not re.search(r"Traceback|0x[0-9a-f]{6}|Errno|\w+Error:", reason)
    advice = r"\b(get|give|copy|convert|mend|scale|choose|look)\b"
    assert re.search(advice, reason.rpartition(";")[2]), f"does not say what to do: {reason}"


def assert_upright(path: Path, case: Any) -> None:
    """The picture has the size it should, and the person stands where it was painted."""
    first = next(read(path))
    height, width = first.rgb.shape[1:3]
    assert (width, height) == case.size
    painted = np.array([case.left * width, height / 4, (case.left + 0.2) * width, 0.9 * height])
    found = Rectangles().detect(first)[0].xyxy
    assert np.abs(found - painted).max(axis=1).min() <= 2.5


def test_good_files_are_not_affected_by_the_bad_ones_beside_them(
    rows: dict[str, list[Row]], folder: Path, tmp_path: Path
) -> None:
    run([folder / name for name in WHOLE], tmp_path / "alone")
    alone = {
        path.relative_to(tmp_path / "alone"): path.read_bytes()
        for path in (tmp_path / "alone").rglob("*.safetensors")
    }
    assert len(alone) >= 2 * len(WHOLE)
    assert {name: (folder / "store" / name).read_bytes() for name in alone} == alone


def test_a_broken_file_never_looks_like_a_shorter_whole_one() -> None:
    """Where the format cannot tell, the expectation says why."""
    passing = [
        case for name, case in CASES.items() if name.startswith(BROKEN) and case.frames is not None
    ]
    assert all(case.note for case in passing)
    assert len(passing) == 7


def test_a_second_run_remembers_each_end(rows: dict[str, list[Row]], folder: Path) -> None:
    names = ["whole.mp4", "cut_middle.mp4", "nobody.mp4", "folder.mp4", "two\nlines.mp4"]
    again = run([folder / name for name in names], folder / "store")
    assert {row.status for row in again} == {"cached", "failed"}
    for name in names:
        told = [row for row in again if row.video.name == name]
        assert told[-1].reason == rows[name][-1].reason


def test_the_command_ends_with_a_table_of_reasons(folder: Path, tmp_path: Path) -> None:
    names = ["whole.mp4", "cut_middle.mp4", "words.txt", "two\nlines.mp4", "gone.mp4", "empty.mp4"]
    given = [text for name in names for text in ("--video", str(folder / name))]
    settings = [
        "dataset.path=none.csv", "features.keypoints=centre", f"perception.store={tmp_path}",
        "perception.detector={type: whole_frame}", "perception.pose_estimator={type: centre}",
    ]  # fmt: skip
    plugin = ["--plugin", str(HERE / "parts.py")]
    done = subprocess.run(
        [sys.executable, "-m", "emoframe", *plugin, "extract", "videos", *settings, *given],
        capture_output=True, text=True, check=False, env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == EXIT_SOME_FAILED, done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    table = " ".join(done.stdout.split())
    for text in ("is truncated or damaged", "is text or a list", "no such file", "empty (0 bytes)"):
        assert text in table
    assert table.count(" failed ") == 4
