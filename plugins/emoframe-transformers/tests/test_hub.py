"""What every part promises about its weights: found here first, fetched last, or a sentence."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from emoframe_transformers.checkpoint import IMAGENET
from emoframe_transformers.clip import Clip
from emoframe_transformers.dinov2 import Dinov2
from emoframe_transformers.rtdetr import RtDetr

from emoframe.core import files
from emoframe.core.errors import ComponentError
from emoframe.records import Frames

Weights = Callable[[str], str]
Pictures = Callable[..., Frames]
A, B = "a" * 40, "b" * 40


def cache(hub: Path, folder: str, commit: str = A) -> Path:
    """Lay a checkpoint into the library's cache as a download does."""
    model = hub / "models--me--tiny"
    shutil.copytree(folder, model / "snapshots" / commit)
    (model / "refs").mkdir(parents=True, exist_ok=True)
    (model / "refs" / "main").write_text(commit)
    return model


@pytest.fixture
def hub(weights: Weights, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """A hub on this machine that publishes one model as `me/tiny`; lists what was asked of it."""
    from huggingface_hub import constants

    asked: list[str] = []

    class Hub(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            asked.append(self.path)
            file = Path(weights("dinov2"), self.path.rpartition("/")[2])
            there = file.is_file() or self.path == "/"
            self.send_response(200 if there else 404)
            self.send_header("X-Repo-Commit", A)
            self.send_header("ETag", f'"{file.name}"')
            if not there:
                self.send_header("X-Error-Code", "EntryNotFound")
            body = file.read_bytes() if file.is_file() else b""
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        do_GET = do_HEAD

        def log_message(self, *_: object) -> None:
            """Be silent."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setattr(constants, "ENDPOINT", url)
        template = url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        yield asked
        server.shutdown()


def test_a_name_is_downloaded_once_and_then_found(
    weights: Weights, pictures: Pictures, hub: list[str]
) -> None:
    part = Dinov2(weights="me/tiny", size=224)
    assert part.out_dim == 32
    assert not [path for path in hub if path.endswith("safetensors")]
    found = part.encode(pictures(1, 224), None)
    local = Dinov2(weights=weights("dinov2"), size=224).encode(pictures(1, 224), None)
    assert np.array_equal(found.x, local.x)
    assert [path for path in hub if path.endswith(f"{A}/model.safetensors")]
    hub.clear()
    again = Dinov2(weights="me/tiny", size=224).encode(pictures(1, 224), None)
    assert np.array_equal(again.x, found.x)
    assert not hub


def test_a_folder_is_used_without_asking_any_hub(
    weights: Weights, pictures: Pictures, no_network: list[object]
) -> None:
    part = Dinov2(weights=weights("dinov2"), size=224)
    assert part.encode(pictures(1, 224), None).valid.all()
    part.module()
    assert part.fingerprint()
    detector = RtDetr(weights=weights("rt_detr_v2"), conf=0.0, imgsz=64)
    assert len(detector.detect(pictures(1, 64))) == 1
    assert not no_network


def test_a_name_is_found_in_the_folder_of_models(
    weights: Weights, tmp_path: Path, no_network: list[object]
) -> None:
    kept = tmp_path / "cache" / "emoframe" / "transformers" / "me" / "tiny"
    shutil.copytree(weights("dinov2"), kept)
    assert Dinov2(weights="me/tiny", size=224).out_dim == 32
    assert not no_network


def test_a_name_is_found_in_the_cache_of_the_library(
    weights: Weights, pictures: Pictures, empty_caches: Path, no_network: list[object]
) -> None:
    model = cache(empty_caches, weights("dinov2"))
    (model / ".no_exist" / A).mkdir(parents=True)
    for name in ("preprocessor_config.json", "processor_config.json"):
        (model / ".no_exist" / A / name).touch()
    part = Dinov2(weights="me/tiny", size=224)
    assert part.encode(pictures(1, 224), None).valid.all()
    assert not no_network


def test_all_files_of_a_name_come_from_one_commit(
    weights: Weights, empty_caches: Path, no_network: list[object]
) -> None:
    cache(empty_caches, weights("dinov2"))
    part = Dinov2(weights="me/tiny", size=224)
    assert part.out_dim == 32
    cache(empty_caches, weights("registers"), B)  # a newer one is published meanwhile
    assert part.checkpoint.files.find("model.safetensors").parent.name == A


def test_a_file_that_may_exist_elsewhere_is_not_taken_for_missing(
    weights: Weights, pictures: Pictures, empty_caches: Path, no_network: list[object]
) -> None:
    cache(empty_caches, weights("dinov2"))
    with pytest.raises(ComponentError, match=r"the download of preprocessor_config\.json failed"):
        Dinov2(weights="me/tiny", size=224).encode(pictures(1, 224), None)
    assert no_network


def test_without_weights_a_sentence_says_what_to_fetch_and_where_to_put_it(
    tmp_path: Path, no_network: list[object]
) -> None:
    sentence = (
        r"^frame_encoder clip: the weights 'me/tiny' are not here \(the download of config\.json "
        r"failed: no network in this test\); put config\.json, model\.safetensors and "
        r"preprocessor_config\.json from https://huggingface\.co/me/tiny/tree/main into "
        rf"{tmp_path}/cache/emoframe/transformers/me/tiny, or .*weights=FOLDER$"
    )
    with pytest.raises(ComponentError, match=sentence):
        Clip(weights="me/tiny").fingerprint()


@pytest.mark.parametrize("given", ["gone", "a/b/c", "/nowhere/at all"])
def test_a_folder_that_is_not_there_is_a_sentence(given: str, no_network: list[object]) -> None:
    with pytest.raises(ComponentError, match=r"there is no such folder.*OWNER/MODEL"):
        _ = Clip(weights=given).out_dim
    assert not no_network


def test_a_file_in_place_of_a_folder_is_a_sentence(weights: Weights) -> None:
    with pytest.raises(ComponentError, match="it is a file"):
        _ = Clip(weights=weights("clip") + "/model.safetensors").out_dim


def test_a_pickle_is_not_opened(weights: Weights, tmp_path: Path, pictures: Pictures) -> None:
    shutil.copy(weights("dinov2") + "/config.json", tmp_path)
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80\x04}.")
    with pytest.raises(ComponentError, match=r"no model\.safetensors; pickles .* are not read"):
        Dinov2(weights=str(tmp_path), size=224).encode(pictures(1, 224), None)


def test_a_damaged_file_is_a_sentence(weights: Weights, tmp_path: Path, pictures: Pictures) -> None:
    shutil.copy(weights("dinov2") + "/config.json", tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"hello")
    with pytest.raises(ComponentError, match="cannot be used"):
        Dinov2(weights=str(tmp_path), size=224).encode(pictures(1, 224), None)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ComponentError, match=r"config\.json is no JSON"):
        _ = Dinov2(weights=str(tmp_path), size=224).out_dim


def test_a_checkpoint_that_lacks_a_parameter_is_refused(
    weights: Weights, tmp_path: Path, pictures: Pictures
) -> None:
    from safetensors.torch import load_file, save_file

    kept = load_file(weights("dinov2") + "/model.safetensors")
    del kept["layernorm.weight"]
    save_file(kept, tmp_path / "model.safetensors", {"format": "pt"})
    shutil.copy(weights("dinov2") + "/config.json", tmp_path)
    with pytest.raises(ComponentError, match=r"lacks 1 weights .*'layernorm\.weight'"):
        Dinov2(weights=str(tmp_path), size=224).encode(pictures(1, 224), None)


@pytest.mark.parametrize(("statistic", "used"), [("running_var", True), ("num_batches", False)])
def test_a_checkpoint_that_lacks_what_a_batch_norm_has_learnt_is_refused(
    weights: Weights, tmp_path: Path, pictures: Pictures, statistic: str, used: bool
) -> None:
    from safetensors.torch import load_file, save_file

    whole = load_file(weights("rt_detr_v2") + "/model.safetensors")
    kept = {name: value for name, value in whole.items() if statistic not in name}
    assert len(kept) < len(whole)
    save_file(kept, tmp_path / "model.safetensors", {"format": "pt"})
    shutil.copy(weights("rt_detr_v2") + "/config.json", tmp_path)
    detector = RtDetr(weights=str(tmp_path), imgsz=64)
    if not used:
        assert len(detector.detect(pictures(1, 64))) == 1
        return
    with pytest.raises(ComponentError, match=r"lacks \d+ weights .*running_var"):
        detector.detect(pictures(1, 64))


def test_how_pixels_are_scaled_is_read_from_either_file_the_newer_one_first(
    weights: Weights, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(weights("dinov2"), tmp_path / "copy"))
    checkpoint = Dinov2(weights=str(folder)).checkpoint
    older, newer = folder / "preprocessor_config.json", folder / "processor_config.json"
    older.write_text(json.dumps({"image_mean": [0.1, 0.1, 0.1]}))
    newer.write_text(json.dumps({"processor_class": "P"}))  # it has no block for pictures
    assert checkpoint.scale(IMAGENET).mean == (0.1, 0.1, 0.1)
    assert "preprocessor_config.json" in checkpoint.fingerprint()
    newer.write_text(json.dumps({"image_processor": {"image_mean": [0.2, 0.2, 0.2]}}))
    assert checkpoint.scale(IMAGENET).mean == (0.2, 0.2, 0.2)
    before = checkpoint.fingerprint()
    assert set(before) == {"config.json", "model.safetensors", "processor_config.json"}
    older.unlink()
    newer.write_text(json.dumps({"image_processor": {"image_mean": [0.25, 0.2, 0.2]}}))
    assert checkpoint.fingerprint()["processor_config.json"] != before["processor_config.json"]


def test_the_librarys_processor_obeys_the_nested_settings(weights: Weights, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(weights("rt_detr_v2"), tmp_path / "copy"))
    nested = {"image_processor": {"do_rescale": False}}
    (folder / "processor_config.json").write_text(json.dumps(nested))
    part = RtDetr(weights=str(folder))
    assert part.checkpoint.processor("RTDetrImageProcessor").do_rescale is False


def test_weights_are_hashed_once_until_they_are_written_again(
    weights: Weights, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(weights("dinov2"), tmp_path / "copy"))
    before = Dinov2(weights=str(folder)).fingerprint()
    hits = files._hash.cache_info().hits
    assert Dinov2(weights=str(folder)).fingerprint() == before
    assert files._hash.cache_info().hits == hits + len(before)


def test_weights_of_another_model_are_refused(weights: Weights) -> None:
    with pytest.raises(ComponentError, match=r"of type 'clip'; it takes 'dinov2' or 'dinov2_with"):
        _ = Dinov2(weights=weights("clip")).out_dim


def test_the_fingerprint_changes_with_each_file(weights: Weights, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(weights("dinov2"), tmp_path / "copy"))
    before = Dinov2(weights=str(folder)).fingerprint()
    stored = (folder / "model.safetensors").read_bytes()
    assert before["model.safetensors"] == hashlib.sha256(stored).hexdigest()
    (folder / "preprocessor_config.json").write_text(json.dumps({"image_mean": [0.5, 0.5, 0.5]}))
    (folder / "model.safetensors").write_bytes(stored[:-4] + b"\0\0\0\0")
    after = Dinov2(weights=str(folder)).fingerprint()
    assert after.keys() - before.keys() == {"preprocessor_config.json"}
    assert after["model.safetensors"] != before["model.safetensors"]


def test_declaring_the_parts_imports_nothing_heavy() -> None:
    code = (
        "import sys, emoframe_transformers as plugin; plugin.emoframe_components();"
        "import emoframe_transformers.patch_binding, emoframe_transformers.rtdetr;"
        "assert not {'torch', 'transformers', 'huggingface_hub'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
