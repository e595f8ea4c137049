"""The command line as a stranger meets it: fast, in sentences, with exit codes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from emoframe.cli.app import COMMANDS

HEAVY = ("torch", "transformers", "ultralytics", "cv2", "mediapipe", "onnxruntime", "pandas")


def emoframe(*args: str, cwd: Path | None = None, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "emoframe", *args],
        capture_output=True, text=True, check=False, cwd=cwd, env={**os.environ, **env},
    )  # fmt: skip


@pytest.mark.parametrize("args", [["--help"], ["list"], ["plugins"]])
def test_looking_around_imports_nothing_heavy(args: list[str]) -> None:
    code = (
        f"import sys; sys.argv = ['emoframe', *{args!r}]\n"
        "from emoframe.cli.app import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        f"print('HEAVY', [name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "HEAVY []" in done.stdout


def test_help_names_every_command() -> None:
    done = emoframe("--help")
    assert done.returncode == 0
    assert not [name for name in COMMANDS if name not in done.stdout]


def test_list_is_json_for_programs() -> None:
    found = json.loads(emoframe("list", "keypoint_backbone", "--json").stdout)
    assert {"mlp", "deep_sets"} <= {part["name"] for part in found}


def test_show_tells_everything_about_a_part() -> None:
    shown = emoframe("show", "keypoint_backbone", "mlp").stdout
    for text in ("hidden", "int > 0", "256", "mlp.py:", "h_NTD", "emoframe 0.1.0", "type: mlp"):
        assert text in shown


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["list", "backbone"], "there is no kind 'backbone'"),
        (["show", "pooling", "meen"], "did you mean 'mean'"),
        (["check", "absent.yaml"], "there is no config"),
        (["check", "quickstart", "train.lr=fast"], "train.lr: must be float > 0, got 'fast'"),
        (["test", "nowhere", "--reason", "x"], "is no run folder"),
        (["train", "sequences"], "dataset.path: is required"),
        (["predict", "video.mp4", "--run", "nowhere"], "is no run folder"),
        (["--plugin", "absent.py", "list"], "no such file"),
        (["extract", "quickstart"], "names no videos"),
        (["train", "quickstart", "train.precision=float16"], "no GPU"),
    ],
)
def test_a_mistake_is_a_sentence_and_exit_code_2(
    args: list[str], says: str, tmp_path: Path
) -> None:
    done = emoframe(*args, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_debug_shows_the_traceback() -> None:
    assert "Traceback" in emoframe("--debug", "list", "backbone").stderr


def test_every_problem_of_a_config_is_one_line() -> None:
    done = emoframe("check", "quickstart", "seeed=1", "train.epochs=0", "model.loss.type=foo")
    assert len(done.stderr.strip().splitlines()) == 3
    found = json.loads(emoframe("check", "quickstart", "seeed=1", "--json").stdout)
    assert found[0]["path"] == "seeed"


def test_fill_writes_every_default_and_checks() -> None:
    filled = emoframe("fill", "quickstart").stdout
    assert "offset_space: pixel" in filled
    assert "expansion: 4.0" in filled


def test_the_schema_knows_the_parameters_of_plugins() -> None:
    text = emoframe("schema").stdout
    assert json.loads(text)["properties"]["seed"]["anyOf"][0]["minimum"] == 0
    assert '"deep_sets"' in text


def test_licences_of_a_config_are_listed() -> None:
    found = json.loads(emoframe("licences", "videos", "dataset.path=x.csv", "--json").stdout)
    assert {"kind": "pose_estimator", "name": "mediapipe"}.items() <= {
        k: v for part in found for k, v in part.items() if part["kind"] == "pose_estimator"
    }.items()


def test_doctor_says_whether_a_key_is_set_and_never_its_value() -> None:
    done = emoframe("doctor", GEMINI_API_KEY="sesame-open")
    assert "GEMINI_API_KEY" in done.stdout
    assert "sesame" not in done.stdout + done.stderr


def test_a_plugin_in_one_file_trains_without_an_edit_to_emoframe(
    tmp_path: Path, tiny: list[str]
) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        "import torch\nfrom torch import nn\nimport emoframe\n\n"
        "@emoframe.component('keypoint_backbone', 'mine')\n"
        "class Mine(nn.Module):\n"
        "    '''Averages the joints.'''\n"
        "    def __init__(self, *, in_channels: int):\n"
        "        super().__init__()\n"
        "        self.out_dim = in_channels\n"
        "    def forward(self, x_NTVC, mask_NTV):\n"
        "        return x_NTVC.mean(2)\n"
    )
    small = [item for item in tiny if "keypoint_backbone" not in item]
    swap = "model.branches.keypoints.keypoint_backbone.type=mine"
    args = [
        "--plugin",
        str(file),
        "train",
        "quickstart",
        *small,
        swap,
        "--run",
        str(tmp_path / "r"),
    ]
    done = emoframe(*args)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "r" / "seed-0" / "checkpoints" / "best.pth").is_file()
    assert "mine" in emoframe("--plugin", str(file), "list", "keypoint_backbone").stdout
    without = emoframe("test", str(tmp_path / "r" / "seed-0"), "--reason", "x")
    assert without.returncode == 2
    assert "there is no keypoint_backbone 'mine'" in without.stderr


def test_data_check_says_what_is_wrong_and_exits_with_one(tmp_path: Path) -> None:
    absent = emoframe("data", "check", str(tmp_path / "absent"))
    assert absent.returncode == 1
    assert "there is no such folder" in absent.stdout
    converted = emoframe("data", "convert", str(tmp_path))
    assert converted.returncode == 2
    assert "Traceback" not in converted.stderr
