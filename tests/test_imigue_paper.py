"""The chain of the paper: its order, what it leaves out, where it stops, and that it goes on."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from emoframe.core.errors import DataError
from emoframe.imigue_paper import Chain, keypoints, run
from emoframe.learning.datasets.imigue_convert import convert

_spec = importlib.util.spec_from_file_location("tree", Path(__file__).with_name("imigue_tree.py"))
assert _spec is not None
assert _spec.loader is not None
tree = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(tree)

PARTS = [
    "dataset.allow_missing=true",
    "perception.detector={type: whole_frame}",
    "perception.frame_encoders.dinov2={type: hog, size: 32, cells: 4, bins: 4}",
    "perception.frame_encoders.xclip={type: hog, size: 32, cells: 4, bins: 4, every: 8}",
]
SMALL = [
    "model.branches.keypoints.keypoint_backbone.hidden=8",
    "model.branches.keypoints.temporal_encoder={type: transformer, dim: 8, layers: 1, heads: 2}",
    "model.branches.keypoints.out_dim=8",
    "model.branches.frames.temporal_encoder={type: transformer, dim: 8, layers: 1, heads: 2}",
    "model.branches.frames.out_dim=8",
    "model.branches.text.text_encoder={type: tfidf, max_features: 32}",
    "model.branches.text.out_dim=8",
    "view.keypoints.frames=16", "view.frames.frames=4", "view.votes=1",
    "train.epochs=1", "train.batch_size=4", "train.val_fraction=0.5",
]  # fmt: skip


class Shell:
    """Takes the place of `emoframe`, remembers what it was asked to do, and writes the tables."""

    def __init__(self, questions: int = 3, codes: dict[str, int] | None = None) -> None:
        self.questions, self.codes = questions, codes or {}
        self.heard: list[list[str]] = []
        self.told: list[str] = []

    def __call__(self, arguments: Sequence[str], capture: bool) -> tuple[int, str]:
        self.heard.append(list(arguments))
        if capture:
            plan = {"questions": self.questions, "answered": 2, "labeler": "gemini", "usd": 1.5}
            return 0, json.dumps({**plan, "spent": 0.25})
        if arguments[0] == "ablate":
            folder = Path(arguments[arguments.index("--run") + 1])
            folder.mkdir(parents=True, exist_ok=True)
            page = f"<html><head></head><body>{folder.name}</body></html>"
            (folder / "ablation-test.html").write_text(page)
        return self.codes.get(arguments[0], 0), ""

    @property
    def names(self) -> list[str]:
        """What was started, a word or two each."""
        return [" ".join(one[:2]) if one[0] in ("data", "ablate") else one[0] for one in self.heard]

    def run(self, chain: Chain) -> int:
        return run(chain, self, self.told.append)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Two videos by their names, and their skeletons."""
    root = tmp_path / "imigue"
    for video in (1, 54):
        path = root / f"mg_skeleton_only/{video:04d}/{video:04d}_2.xlsx"
        tree.write_skeleton(path, video, "Win")
    return root


def test_the_steps_come_in_their_order_and_stop_before_the_first_question(
    copy: Path, tmp_path: Path
) -> None:
    shell = Shell()
    assert shell.run(Chain(copy, folder=tmp_path / "out")) == 1
    assert shell.names == ["data check", "data convert", "plan", "extract", "label"]
    assert {"--plan", "--json"} <= set(shell.heard[-1])
    assert "3 questions to gemini are left, at most $1.5000" in shell.told[-2]
    assert "LABEL=yes or BUDGET=DOLLARS" in shell.told[-1]


def test_with_the_word_to_ask_the_tables_follow_and_one_page_holds_them(
    copy: Path, tmp_path: Path
) -> None:
    shell = Shell()
    chain = Chain(copy, folder=tmp_path / "out", budget=20, i_may_upload="imigue", seeds=1)
    assert shell.run(chain) == 0
    assert shell.names[4:] == [
        "label", "label", "ablate ablations/paper_table1", "ablate ablations/paper_table3",
        "extract", "ablate ablations/paper_table2",
    ]  # fmt: skip
    asked = shell.heard[5]
    assert asked[asked.index("--budget") + 1] == "20"
    assert asked[asked.index("--i-may-upload") + 1] == "imigue"
    assert "perception.frame_encoders.xclip={type: xclip}" in shell.heard[8]
    page = (tmp_path / "out/report.html").read_text()
    assert page.index("table1") < page.index("table2") < page.index("table3")


def test_leave_to_upload_is_never_taken_for_granted(copy: Path, tmp_path: Path) -> None:
    shell = Shell()
    shell.run(Chain(copy, folder=tmp_path / "out", label=True))
    every = [word for one in shell.heard for word in one]
    assert "--i-may-upload" not in every
    assert not [word for word in every if word.startswith("privacy.upload")]


def test_what_is_done_is_left_out(copy: Path, tmp_path: Path) -> None:
    convert(copy)
    shell = Shell(questions=0)
    assert shell.run(Chain(copy, folder=tmp_path / "out")) == 0
    assert "data convert" not in shell.names
    assert shell.names.count("label") == 1
    assert "imigue: label: all 2 questions have ended" in shell.told


def test_labels_of_another_tool_are_taken_and_nobody_is_asked(copy: Path, tmp_path: Path) -> None:
    shell = Shell()
    chain = Chain(copy, ["weak_labels.labeler=ann"], folder=tmp_path / "out")
    assert shell.run(chain) == 0
    assert "label" not in shell.names


def test_a_step_that_fails_ends_the_chain_and_says_what_to_do(copy: Path, tmp_path: Path) -> None:
    shell = Shell(codes={"extract": 1})
    assert shell.run(Chain(copy, folder=tmp_path / "out", label=True)) == 1
    assert shell.names[-1] == "extract"
    assert "GO_ON=yes; then start the same command again" in shell.told[-1]
    shell = Shell(codes={"extract": 1})
    assert shell.run(Chain(copy, folder=tmp_path / "out", label=True, go_on=True)) == 0
    shell = Shell(codes={"extract": 2})
    assert shell.run(Chain(copy, folder=tmp_path / "out", label=True, go_on=True)) == 2


def test_a_copy_that_is_not_whole_is_gone_on_with_only_where_that_is_said(
    copy: Path, tmp_path: Path
) -> None:
    shell = Shell(questions=0, codes={"data": 1})
    assert shell.run(Chain(copy, folder=tmp_path / "out")) == 1
    assert "SET=dataset.allow_missing=true" in shell.told[-1]
    convert(copy)
    shell = Shell(questions=0, codes={"data": 1})
    assert shell.run(Chain(copy, ["dataset.allow_missing=true"], tmp_path / "out")) == 0


def test_keypoints_are_those_of_the_copy_or_measured(copy: Path, tmp_path: Path) -> None:
    assert "features.keypoints=dataset" in keypoints(copy)
    (tmp_path / "bare").mkdir()
    assert keypoints(tmp_path / "bare") == ["dataset.keypoints=none"]
    with pytest.raises(DataError, match="there is no such folder"):
        keypoints(tmp_path / "nowhere")


def chained(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    answers = f"weak_labels.vlm_labeler={{type: recorded, path: {folder / 'answers.jsonl'}}}"
    command = [sys.executable, "-m", "emoframe.imigue_paper", "imigue", *PARTS, *SMALL, answers]
    return subprocess.run(
        [*command, "--workers", "0", "--seeds", "1", *options], cwd=folder, text=True,
        capture_output=True, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip


@pytest.mark.slow
def test_the_whole_paper_is_rehearsed_on_a_copy_in_miniature(tmp_path: Path) -> None:
    outcome = tree.write_tree(tmp_path / "imigue")
    tree.write_answers(tmp_path / "imigue", tmp_path / "answers.jsonl", outcome)
    stopped = chained(tmp_path)
    assert stopped.returncode == 1, stopped.stderr
    assert "14 questions to recorded" in stopped.stderr
    assert not (tmp_path / "labels.sqlite").exists()
    done = chained(tmp_path, "--label")
    assert done.returncode == 0, done.stderr
    for number, rows in ((1, 6), (2, 2), (3, 5)):
        file = tmp_path / f"runs/imigue/table{number}/ablation-test.json"
        table = json.loads(file.read_text())
        assert len(table["rows"]) == rows
        assert not [row for row in table["rows"] if row.get("failed")]
        assert "transductive" in table["caption"]
        assert "/incomplete" in table["caption"]
    runs = tmp_path / "runs/imigue"
    weights = {file: file.stat().st_mtime_ns for file in runs.rglob("best.pth")}
    openings = {file: file.read_text() for file in runs.rglob("openings.jsonl")}
    (tmp_path / "runs/imigue/report.html").unlink()
    again = chained(tmp_path)
    assert again.returncode == 0, again.stderr
    assert "all 14 questions have ended" in again.stderr
    assert {file: file.stat().st_mtime_ns for file in runs.rglob("best.pth")} == weights
    assert {file: file.read_text() for file in runs.rglob("openings.jsonl")} == openings
    assert "transductive" in (tmp_path / "runs/imigue/report.html").read_text()
