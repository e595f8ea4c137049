"""What the detector `yolo` promises: persons as boxes, from any weights, or a sentence."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from emoframe_ultralytics import emoframe_components
from emoframe_ultralytics.runtime import keep_to_share, threads
from emoframe_ultralytics.yolo import Yolo

from emoframe.core.errors import ComponentError
from emoframe.interfaces import Detector
from emoframe.perception.video import read
from emoframe.records import Frames


@pytest.fixture(scope="module")
def shared() -> Path:
    """Folder of real data beside the repository."""
    root = Path(__file__).parents[3]
    folder = Path(os.environ.get("EMOFRAME_SHARED", root.parent / "shared"))
    if not folder.is_dir():
        pytest.skip("needs the real data in shared/, which is not here")
    return folder


@pytest.fixture(autouse=True)
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of models."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "emoframe" / "ultralytics"


@pytest.fixture(scope="module")
def random_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A YOLO11n that was never trained, as a file like any other."""
    return save_untrained(tmp_path_factory.mktemp("weights") / "untrained.pt")


def save_untrained(path: Path, names: dict[int, str] | None = None) -> Path:
    from ultralytics import YOLO

    model: Any = YOLO("yolo11n.yaml", task="detect")
    model.model.names = names or {n: "person" if n == 0 else f"class {n}" for n in range(80)}
    model.save(path)
    return path


def frames(count: int = 3) -> Frames:
    rgb = np.random.default_rng(0).integers(0, 255, (count, 60, 80, 3), dtype=np.uint8)
    index = np.arange(count)
    return Frames(rgb, index / 25, index)


def test_it_gives_one_answer_per_frame_in_source_pixels(random_weights: Path) -> None:
    yolo = Yolo(weights=str(random_weights), conf=0.0, imgsz=64, batch=2)
    assert isinstance(yolo, Detector)
    found = yolo.detect(frames())
    assert len(found) == 3
    assert any(len(boxes) for boxes in found)
    for boxes in found:
        assert boxes.xyxy.shape == (len(boxes), 4)
        assert boxes.xyxy.dtype == boxes.score.dtype == np.float32
        assert (boxes.xyxy >= 0).all()
        assert (boxes.xyxy <= [80, 60, 80, 60]).all()


def test_a_threshold_that_nobody_reaches_gives_empty_boxes(random_weights: Path) -> None:
    found = Yolo(weights=str(random_weights), conf=1.0, imgsz=64).detect(frames())
    assert [boxes.xyxy.shape for boxes in found] == [(0, 4)] * 3


def test_the_batch_changes_the_speed_and_not_the_boxes(random_weights: Path) -> None:
    one, three = (
        Yolo(weights=str(random_weights), conf=0.0, imgsz=64, batch=n).detect(frames())
        for n in (1, 3)
    )
    for a, b in zip(one, three, strict=True):
        np.testing.assert_allclose(a.xyxy, b.xyxy, atol=1e-2)


def test_the_fingerprint_is_the_hash_of_the_weights(random_weights: Path) -> None:
    expected = hashlib.sha256(random_weights.read_bytes()).hexdigest()
    assert Yolo(weights=str(random_weights)).fingerprint() == {"weights": expected}


def test_the_fingerprint_of_a_folder_is_of_its_files_wherever_it_lies(tmp_path: Path) -> None:
    for place in ("one", "other"):
        (tmp_path / place / "deep").mkdir(parents=True)
        (tmp_path / place / "model.xml").write_text("graph")
        (tmp_path / place / "deep" / "model.bin").write_bytes(b"1234")
    one, other = (Yolo(weights=str(tmp_path / place)) for place in ("one", "other"))
    before = one.fingerprint()
    assert before["weights"]
    assert before == other.fingerprint()
    (tmp_path / "other" / "deep" / "model.bin").write_bytes(b"1235")
    assert before != other.fingerprint()
    (tmp_path / "one" / "model.xml").rename(tmp_path / "one" / "renamed.xml")
    assert before != one.fingerprint()


def test_the_fingerprint_of_an_onnx_file_names_the_version_that_runs_it(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    (tmp_path / "any.onnx").write_bytes(b"any")
    fingerprint = Yolo(weights=str(tmp_path / "any.onnx")).fingerprint()
    assert fingerprint["onnxruntime"] == version("onnxruntime")


def test_what_computes_is_part_of_the_key() -> None:
    assert all("torch" in component.needs for component in emoframe_components())


def test_an_onnx_model_keeps_to_the_workers_share_of_threads(
    random_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exported = export(random_weights, tmp_path)
    plain = Yolo(weights=str(exported), conf=0.0, imgsz=64)
    expected = plain.detect(frames())
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    yolo = Yolo(weights=str(exported), conf=0.0, imgsz=64)
    found = yolo.detect(frames())
    options = yolo._model._loaded[0].predictor.model.session.get_session_options()
    assert options.intra_op_num_threads == 1
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"
    for a, b in zip(expected, found, strict=True):
        np.testing.assert_allclose(a.xyxy, b.xyxy, atol=1e-2)


def export(weights: Path, folder: Path) -> Path:
    """A model as an ONNX file, or a skip where it cannot be written."""
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    from ultralytics import YOLO

    copy = folder / weights.name
    copy.write_bytes(weights.read_bytes())
    return Path(YOLO(copy).export(format="onnx", imgsz=64, simplify=False, verbose=False))


@pytest.mark.parametrize(("share", "most"), [("2", 2), ("16", 8), ("", 8)])
def test_torch_keeps_to_the_workers_share_of_threads(
    random_weights: Path, monkeypatch: pytest.MonkeyPatch, share: str, most: int
) -> None:
    import torch
    from ultralytics.utils import torch_utils

    asked = [1]
    monkeypatch.setattr(torch, "set_num_threads", asked.append)
    monkeypatch.setattr(torch, "get_num_threads", lambda: asked[-1])
    monkeypatch.setattr(torch_utils, "NUM_THREADS", 8)  # as on a machine of more cores
    monkeypatch.setenv("OMP_NUM_THREADS", share)
    Yolo(weights=str(random_weights), imgsz=64).detect(frames())
    assert asked[-1] == most


def test_importing_ultralytics_sets_nobodys_share_of_threads() -> None:
    code = (
        "import os; from emoframe_ultralytics.runtime import import_quietly; import_quietly();"
        "assert 'OMP_NUM_THREADS' not in os.environ"
    )
    env = {key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS"}
    subprocess.run([sys.executable, "-c", code], check=True, env=env)


@pytest.mark.parametrize(
    ("said", "share"), [("3", 3), ("4,2", 4), (None, 0), ("", 0), ("many", 0), ("-1", 0)]
)
def test_the_share_is_read_from_where_workers_are_told(
    said: str | None, share: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if said is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", said)
    assert threads() == share


def test_a_model_whose_session_is_elsewhere_keeps_its_own(tmp_path: Path) -> None:
    for model in (object(), SimpleNamespace(predictor=SimpleNamespace(model=SimpleNamespace()))):
        keep_to_share(model, tmp_path / "any.onnx")


def test_a_name_is_found_in_the_folder_of_models(random_weights: Path, models: Path) -> None:
    models.mkdir(parents=True)
    (models / "mine.pt").write_bytes(random_weights.read_bytes())
    assert Yolo(weights="mine.pt").fingerprint()


def test_weights_that_are_not_here_say_where_to_put_them(tmp_path: Path) -> None:
    for call in (lambda yolo: yolo.detect(frames()), lambda yolo: yolo.fingerprint()):
        with pytest.raises(ComponentError, match=r"there is no such file.*weights=PATH"):
            call(Yolo(weights=str(tmp_path / "gone.pt")))


def test_a_model_without_weights_is_refused() -> None:
    with pytest.raises(ComponentError, match="find people at random"):
        Yolo(weights="yolo11n.yaml").detect(frames())


def test_a_file_that_holds_no_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bad.pt").write_bytes(b"hello" * 99)
    with pytest.raises(ComponentError, match=r"bad\.pt cannot be used"):
        Yolo(weights=str(tmp_path / "bad.pt")).detect(frames())


def test_a_model_that_knows_no_persons_is_refused(tmp_path: Path) -> None:
    weights = save_untrained(tmp_path / "cats.pt", {n: f"cat {n}" for n in range(80)})
    with pytest.raises(ComponentError, match=r"find no persons but cat 0, cat 1"):
        Yolo(weights=str(weights), imgsz=64).detect(frames())


def test_the_person_of_a_real_clip_is_found_in_every_frame(shared: Path) -> None:
    pytest.importorskip("onnxruntime")
    yolo = Yolo(weights=str(shared / "models" / "yolo11n_int8.onnx"))  # one picture at a time
    for clip in sorted((shared / "media").glob("imigue_*.gif")):
        counts = [len(boxes) for part in read(clip) for boxes in yolo.detect(part)]
        assert min(counts) >= 1, clip.name


def test_declaring_it_imports_nothing_heavy() -> None:
    code = (
        "import sys, emoframe_ultralytics as plugin; plugin.emoframe_components();"
        "assert not {'torch', 'ultralytics', 'cv2'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
