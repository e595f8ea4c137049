"""What `rtmpose` promises: a model's points where they are in the source, or a sentence.

The models are made here: each finds the reddest spot of its input, as SimCC does, with 133 points
of rising confidence, so that every coordinate that comes out is known beforehand.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
from dataclasses import replace
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from emoframe_rtmlib import emoframe_components
from emoframe_rtmlib.model import DEFAULT, Model, runtime_version
from emoframe_rtmlib.rtmpose import RtmPose
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from emoframe.core.errors import ComponentError
from emoframe.records import Frames, Track
from emoframe.skeleton import WHOLEBODY_133_TO_OPENPOSE_137

BRIGHTEST = (255 - 123.675) / 58.395
"""The reddest that an input can be after mmpose's normalisation."""


@pytest.fixture(autouse=True)
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of models."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "emoframe" / "rtmlib"


@pytest.fixture(scope="module")
def spotter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole-body model of 192x256 pixels that takes batches."""
    return save_spotter(tmp_path_factory.mktemp("weights") / "spotter.onnx")


def save_spotter(
    path: Path,
    size: tuple[Any, Any] = (192, 256),
    batch: int | str = "batch",
    points: int = 133,
    axes: str = "xy",
    kind: int = TensorProto.FLOAT,
) -> Path:
    """Write a model whose point k is the reddest spot, at confidence (k + 1) / points."""
    weight = np.arange(1, points + 1, dtype=np.float32)[:, None] / points / BRIGHTEST
    given = helper.make_tensor_value_info("input", kind, [batch, 3, *size[::-1]])
    constants = {"red": np.array(0), "twice": np.array([1, 1, 2], np.float32), "weight": weight}
    nodes = [
        helper.make_node("Cast", ["input"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Gather", ["float", "red"], ["picture"], axis=1),
    ]
    for name in axes:
        other = 1 if name == "x" else 2
        constants[f"other_{name}"] = np.array([other])
        steps = [
            ("ReduceMax", ["picture", f"other_{name}"], {"keepdims": 0}),
            ("Unsqueeze", [f"{name}0", "one"], {}),
            ("Resize", [f"{name}1", "", "twice"], {"mode": "nearest"}),
            ("Mul", [f"{name}2", "weight"], {}),
        ]
        outputs = [f"{name}0", f"{name}1", f"{name}2", f"simcc_{name}"]
        nodes += [
            helper.make_node(op, inputs, [output], **more)
            for (op, inputs, more), output in zip(steps, outputs, strict=True)
        ]
    constants["one"] = np.array([1])
    graph = helper.make_graph(
        nodes,
        "spotter",
        [given],
        [helper.make_tensor_value_info(f"simcc_{n}", TensorProto.FLOAT, None) for n in axes],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    opset = helper.make_opsetid("", 18)
    onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=9), str(path))
    return path


def spot(x: float, y: float, size: tuple[int, int] = (320, 240)) -> NDArray[np.uint8]:
    """A green picture with one round red spot."""
    columns, rows = np.meshgrid(np.arange(size[0]), np.arange(size[1]))
    rgb = np.zeros((size[1], size[0], 3), np.uint8)
    rgb[..., 1] = 255
    rgb[..., 0] = 255 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / 50)
    return rgb


def video(
    spots: list[tuple[float, float]], box: tuple[float, ...] = (60, 20, 210, 220)
) -> tuple[Frames, Track]:
    count = len(spots)
    time_s, index = np.arange(count) / 25, np.arange(count)
    frames = Frames(np.stack([spot(*one) for one in spots]), time_s, index)
    boxes = np.tile(np.array(box, np.float32), (count, 1))
    return frames, Track(boxes, np.zeros(count, np.bool_), time_s, "test")


def test_it_is_declared_as_a_pose_estimator_that_imports_nothing_heavy() -> None:
    (component,) = emoframe_components()
    assert (component.kind, component.name) == ("pose_estimator", "rtmpose")
    assert RtmPose(**component.example).layout == "openpose_137"
    code = (
        "import sys, emoframe_rtmlib as plugin; plugin.emoframe_components();"
        "assert not {'torch', 'rtmlib', 'onnxruntime', 'cv2'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_it_keeps_the_contract_of_a_pose_estimator(spotter: Path) -> None:
    from emoframe.testing import check_part

    check_part("pose_estimator", RtmPose(weights=str(spotter)))


@pytest.mark.parametrize(
    "box", [(60, 20, 210, 220), (70.3, 30.8, 203.1, 190.2), (0, 0, 320, 240), (90, 60, 150, 130)]
)
@pytest.mark.parametrize("padding", [1.0, 1.25])
def test_points_are_where_they_are_in_the_source_whatever_the_box(
    spotter: Path, box: tuple[float, ...], padding: float
) -> None:
    where = [(100.0, 90.0), (130.0, 120.0), (120.0, 65.0)]
    frames, track = video(where, box)
    (found,) = RtmPose(weights=str(spotter), padding=padding).estimate([frames], track)
    assert (found.valid.sum(axis=1) > 60).all()
    one_input_pixel = padding * max((box[2] - box[0]) / 192, (box[3] - box[1]) / 256)
    apart = np.abs(found.xy - np.array(where)[:, None])[found.valid]
    assert apart.max() <= max(1, one_input_pixel)


def test_a_smaller_input_is_read_from_the_model(tmp_path: Path) -> None:
    weights = save_spotter(tmp_path / "small.onnx", size=(96, 128))
    frames, track = video([(100, 90)])
    (found,) = RtmPose(weights=str(weights)).estimate([frames], track)
    assert np.abs(found.xy[found.valid] - (100, 90)).max() <= 2


def test_each_joint_is_the_models_own_point_at_its_own_confidence(spotter: Path) -> None:
    frames, track = video([(100, 90)])
    (found,) = RtmPose(weights=str(spotter), min_confidence=0).estimate([frames], track)
    joint_map = WHOLEBODY_133_TO_OPENPOSE_137
    expected = [
        factor * (min(points) + 1) / 133
        for points, factor in zip(joint_map.sources, joint_map.factor, strict=True)
    ]
    assert found.confidence[0] == pytest.approx(expected, rel=0.05)


def test_points_of_low_confidence_are_masked(spotter: Path) -> None:
    frames, track = video([(100, 90)])
    (found,) = RtmPose(weights=str(spotter), min_confidence=0.5).estimate([frames], track)
    assert not found.valid[0, :25].any()
    assert found.valid[0, 95:].all()
    assert np.isnan(found.xy[~found.valid]).all()


def test_what_lies_outside_of_the_box_is_masked(spotter: Path) -> None:
    frames, track = video([(100, 90)], box=(110, 80, 150, 220))  # the cut-out is wider than this
    (found,) = RtmPose(weights=str(spotter)).estimate([frames], track)
    assert not found.valid.any()


def test_a_frame_without_a_box_is_masked_and_the_others_are_not(spotter: Path) -> None:
    frames, track = video([(100, 90), (100, 90), (130, 120)])
    track.box[1] = np.nan
    (found,) = RtmPose(weights=str(spotter)).estimate([frames], track)
    assert found.valid.any(axis=1).tolist() == [True, False, True]
    assert found.box is not None
    assert np.isnan(found.box[1]).all()


def test_the_batch_changes_nothing_and_neither_does_a_model_for_one(
    spotter: Path, tmp_path: Path
) -> None:
    frames, track = video([(100.0 + 3 * n, 90.0 + n) for n in range(5)])
    single = save_spotter(tmp_path / "single.onnx", batch=1)
    assert Model(spotter, "cpu").batched
    assert not Model(single, "cpu").batched
    several = [
        next(RtmPose(weights=str(weights), batch=batch).estimate([frames], track))
        for weights, batch in ((spotter, 1), (spotter, 2), (spotter, 8), (single, 8))
    ]
    for other in several[1:]:
        np.testing.assert_array_equal(other.xy, several[0].xy)
        np.testing.assert_array_equal(other.confidence, several[0].confidence)


def test_chunks_are_measured_one_by_one(spotter: Path) -> None:
    frames, track = video([(100.0 + 3 * n, 90) for n in range(5)])
    parts = [
        Frames(frames.rgb[s], frames.time_s[s], frames.index[s]) for s in (slice(0, 2), slice(2, 5))
    ]
    estimator = RtmPose(weights=str(spotter))
    found = list(estimator.estimate(iter(parts), track))
    (whole,) = estimator.estimate([frames], replace(track))
    assert [len(one) for one in found] == [2, 3]
    np.testing.assert_array_equal(np.concatenate([one.xy for one in found]), whole.xy)


def test_the_fingerprint_is_the_hash_of_the_weights_and_the_version_that_runs_them(
    spotter: Path,
) -> None:
    expected = hashlib.sha256(spotter.read_bytes()).hexdigest()
    fingerprint = RtmPose(weights=str(spotter)).fingerprint()
    assert fingerprint == {"weights": expected, "onnxruntime": onnxruntime.__version__}


def test_the_version_is_known_whichever_distribution_it_comes_from(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    installed = {"onnxruntime-gpu": "1.20.1"}

    def version(name: str) -> str:
        if name not in installed:
            raise PackageNotFoundError(name)
        return installed[name]

    monkeypatch.setattr("emoframe_rtmlib.model.version", version)
    assert runtime_version() == "1.20.1"
    installed.clear()
    assert runtime_version() == "absent"


@pytest.mark.parametrize(("said", "share"), [("1", 1), ("2,1", 2), ("", 0), ("many", 0)])
def test_a_model_keeps_to_the_workers_share_of_threads(
    spotter: Path, said: str, share: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", said)
    options = Model(spotter, "cpu")._session.get_session_options()
    assert options.intra_op_num_threads == share
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"


@pytest.mark.parametrize("name", ["mine", "mine.onnx"])
def test_a_name_is_found_in_the_folder_of_models(spotter: Path, models: Path, name: str) -> None:
    models.mkdir(parents=True)
    (models / "mine.onnx").write_bytes(spotter.read_bytes())
    assert RtmPose(weights=name).fingerprint()


def test_without_weights_the_sentence_says_what_to_fetch_and_where_to_put_it(
    models: Path, tmp_path: Path
) -> None:
    frames, track = video([(100, 90)])
    kept = models / f"{DEFAULT}.onnx"
    for call in (RtmPose().fingerprint, lambda: RtmPose().estimate([frames], track)):
        with pytest.raises(ComponentError, match=rf"{DEFAULT}\.zip.*put it at {kept}"):
            call()
    with pytest.raises(ComponentError, match=r"gone\.onnx' are not here.*give weights=PATH"):
        RtmPose(weights=str(tmp_path / "gone.onnx")).fingerprint()


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"points": 17}, r"for 192x256 pixels it gives \[\(1, 17, 384\), \(1, 17, 512\)\]"),
        ({"axes": "x"}, r"it gives \[\(1, 133, 384\)\]"),
        ({"axes": "yx"}, r"it gives \[\(1, 133, 512\), \(1, 133, 384\)\]"),
        ({"size": ("w", "h")}, r"it takes tensor\(float\) of \['batch', 3, 'h', 'w'\]"),
        ({"batch": 4}, r"of \[4, 3, 256, 192\]"),
        ({"kind": TensorProto.FLOAT16}, r"tensor\(float16\)"),
    ],
)
def test_a_model_of_another_sort_is_refused(
    tmp_path: Path, wrong: dict[str, Any], sentence: str
) -> None:
    weights = save_spotter(tmp_path / "wrong.onnx", **wrong)
    with pytest.raises(ComponentError, match=rf"no whole-body SimCC model.*{sentence}.*\.zip"):
        RtmPose(weights=str(weights)).estimate([], video([(0, 0)])[1])


def test_a_file_that_holds_no_model_and_a_device_that_is_not_there_are_sentences(
    tmp_path: Path, spotter: Path
) -> None:
    bad, track = tmp_path / "bad.onnx", video([(0, 0)])[1]
    bad.write_bytes(b"hello" * 99)
    with pytest.raises(ComponentError, match=r"bad\.onnx cannot be opened on 'cpu': "):
        RtmPose(weights=str(bad)).estimate([], track)
    with pytest.raises(ComponentError, match="rtmpose: .*'warp:9'"):
        RtmPose(weights=str(spotter), device="warp:9").estimate([], track)
    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        with pytest.raises(ComponentError, match="onnxruntime-gpu in place of onnxruntime"):
            RtmPose(weights=str(spotter), device="cuda:0").estimate([], track)


def test_loading_prints_nothing(spotter: Path, capfd: pytest.CaptureFixture[str]) -> None:
    Model(spotter, "cpu")  # nor does it keep back what other threads print meanwhile
    assert capfd.readouterr() == ("", "")
