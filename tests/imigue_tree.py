"""A copy of iMiGUE in miniature, in the formats that are handed out, for rehearsing the paper.

Decided here: everything is made up. Videos are H.264 by PyAV, with a bright block that moves much
where the match was lost, in MiGA's folders; skeletons are OpenPose's xlsx with the same in them;
labels lie in the original release's file, since only that tells subjects and the outcomes of test
videos. The ids of test are those of the protocol `miga_emotion`.
"""

from __future__ import annotations

import csv
import hashlib
import json
from pathlib import Path

import av
import numpy as np
import openpyxl

from emoframe.learning.datasets.imigue_labels import COLUMNS
from emoframe.learning.datasets.imigue_protocols import read_protocol

FRAMES, SIDE = 24, 64


def write_tree(root: Path, train: int = 8, test: int = 6) -> dict[int, str]:
    """Write a copy and return the outcome of each video; each shows another person."""
    judged = sorted(read_protocol("miga_emotion").test or ())
    ids = [n for n in range(1, 346) if n not in judged][:train] + judged[:test]
    outcome = {video: ("Win", "Lose")[n % 2] for n, video in enumerate(ids)}
    rows = [
        (video, 1, 0, 0, 0.12, 3, 8, subject, "F", "NN", outcome[video])
        for subject, video in enumerate(ids, 1)
    ]
    (root / "Label").mkdir(parents=True)
    with (root / "Label/labels_20200831.csv").open("w", newline="") as file:
        csv.writer(file).writerows([COLUMNS, *rows])
    for video in ids:
        part, name = "test" if video in judged else "train", f"{video:04d}"
        write_video(root / f"imigue_rgb_{part}/{name}/{name}.mp4", video, outcome[video])
        write_skeleton(root / f"mg_skeleton_only/{name}/{name}_2.xlsx", video, outcome[video])
    return outcome


def write_video(path: Path, video: int, outcome: str) -> None:
    """Write a video of noise with a block that sways."""
    path.parent.mkdir(parents=True)
    draw, sway = np.random.default_rng(video), 16 if outcome == "Lose" else 2
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, width=SIDE, height=SIDE)
        stream.pix_fmt = "yuv420p"
        for n in range(FRAMES):
            rgb = draw.integers(0, 60, (SIDE, SIDE, 3)).astype(np.uint8)
            left = round(24 + sway * np.sin(n))
            rgb[20:40, left : left + 20] = 220
            container.mux(stream.encode(av.VideoFrame.from_ndarray(rgb, format="rgb24")))
        container.mux(stream.encode(None))


def write_skeleton(path: Path, video: int, outcome: str) -> None:
    """Write the 137 points of OpenPose: x, y, c of each point, a row for each frame, no header."""
    path.parent.mkdir(parents=True)
    draw, sway = np.random.default_rng(video), 16 if outcome == "Lose" else 2
    points = np.broadcast_to(draw.uniform(10, 50, (137, 3)), (FRAMES, 137, 3)).copy()
    points[..., 0] += sway * np.sin(np.arange(FRAMES))[:, None]
    points[..., :2] += draw.normal(0, 0.5, (FRAMES, 137, 2)) + 20
    points[..., 2] = 0.9
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet()
    for row in points.reshape(FRAMES, -1).round(3).tolist():
        sheet.append(row)
    book.save(path)


def write_answers(root: Path, file: Path, outcome: dict[int, str]) -> None:
    """Write recorded answers about every video, every fourth of them wrong."""
    rows: list[str] = []
    for n, (video, told) in enumerate(outcome.items()):
        path = next(root.glob(f"imigue_rgb_*/{video:04d}/*.mp4"))
        said = told if n % 4 else {"Win": "Lose", "Lose": "Win"}[told]
        sure = {name: 0.8 if name == said.lower() else 0.2 for name in ("lose", "win")}
        answer = {
            "confidences": sure, "abstain": False, "units": [], "evidence": [], "corrections": [],
            "note": "sways from side to side" if said == "Lose" else "sits upright and still",
        }  # fmt: skip
        key = hashlib.sha256(path.read_bytes()).hexdigest()
        rows.append(json.dumps({"key": key, "text": json.dumps(answer)}))
    file.write_text("\n".join(rows) + "\n")
