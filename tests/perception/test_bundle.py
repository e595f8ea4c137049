"""What bundles promise: features travel byte for byte, and nothing else comes in or goes out.

Run as a script, this file is the import that the tests kill.
"""

from __future__ import annotations

import hashlib
import json
import os
import resource
import signal
import stat
import subprocess
import sys
import tracemalloc
import zipfile
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save

from emoframe.core.errors import DataError
from emoframe.perception import bundle_import, entries
from emoframe.perception.bundle import export_bundle
from emoframe.perception.bundle_import import import_bundle
from emoframe.perception.index import DamagedError
from emoframe.perception.ledger import Ledger
from emoframe.perception.paths import last_name, portable, without_folders
from emoframe.perception.store import Stage, Store, StoreError
from emoframe.perception.upkeep import verify

A, B, C = "aa" * 32, "bb" * 32, "cc" * 32
KEY, OTHER = "cd" * 32, "ef" * 32
FOLDER = "/home/someone/videos"


def write(
    root: Path, video: str = A, name: str = "pose", frames: int = 3000, seed: int = 0
) -> Stage:
    stage = Store(root).stage(video, name, KEY if name == "pose" else OTHER)
    x = np.random.default_rng(seed).random((frames, 4), np.float32)
    stage.write([{"x": x}], {"video": "a.mp4", "valid": {"face": 0.5}})
    return stage


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Two videos with two stages each, a failed one, and a ledger that knows them."""
    root = tmp_path / "store"
    for n, video in enumerate((A, B)):
        for name in ("pose", "encoder"):
            write(root, video, name, seed=2 * n + (name == "pose"))
    reason = f"{FOLDER}/c.mp4: is truncated after 3 frames"
    Store(root).stage(C, "pose", KEY).fail(reason, {"video": "c.mp4"})
    with Ledger(root) as ledger:
        for dataset, name, video in (("d", "a", A), ("d", "b", B), ("e", "c", C)):
            ledger.sample(dataset, name, Path(f"{FOLDER}/{name}.mp4"), video)
        ledger.refuse("d", "refused", Path(f"{FOLDER}/refused.mp4"), "is empty")
        config = {"weights": f"{FOLDER}/weights.pt", "sizes": [1, {"model": "C:\\m\\x.onnx"}]}
        ledger.settings("pose", KEY, {"config": config, "reads": [OTHER]})
    return root


@pytest.fixture
def bundle(store: Path, tmp_path: Path) -> Path:
    export_bundle(store, tmp_path / "bundle.zip")
    return tmp_path / "bundle.zip"


def files(root: Path) -> dict[str, bytes]:
    """All files of all stages, byte for byte."""
    return {str(p.relative_to(root)): p.read_bytes() for p in root.glob("*/*/*")}


def members(bundle: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(bundle) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def repack(bundle: Path, changed: dict[str, bytes | None]) -> None:
    """Replace, add or (None) leave out members."""
    found = members(bundle) | changed
    with zipfile.ZipFile(bundle, "w") as out:
        for name, content in found.items():
            if content is not None:
                out.writestr(zipfile.ZipInfo(name), content)


def change_manifest(bundle: Path, change: Callable[[dict[str, Any]], object]) -> None:
    manifest = json.loads(members(bundle)["manifest.json"])
    change(manifest)
    repack(bundle, {"manifest.json": json.dumps(manifest).encode()})


def unharmed(root: Path) -> bool:
    """Whether a store verifies, and holds no stage."""
    return not root.exists() or (
        all(one.harmless for one in verify(root)) and not list(root.rglob("index.json"))
    )


def test_stages_travel_byte_for_byte(store: Path, bundle: Path, tmp_path: Path) -> None:
    done = import_bundle(bundle, tmp_path / "new")
    assert (done.new, done.there) == (5, 0)
    assert list(verify(tmp_path / "new")) == []
    came, left = files(tmp_path / "new"), files(store)
    assert came.keys() == left.keys()
    differing = {name for name in came if came[name] != left[name]}
    assert differing == {f"{C[:16]}/pose-{KEY[:16]}/index.json"}  # see the test of its reason


def test_features_are_found_by_name_where_no_video_is(bundle: Path, tmp_path: Path) -> None:
    root = tmp_path / "new"
    import_bundle(bundle, root)
    digest = entries.find_hash(root, "d", "b")
    assert digest == B
    assert len(Store(root).stage(digest, "pose", KEY).read()["x"]) == 3000
    told = {(e.dataset, e.id, e.video, e.stage, e.status) for e in entries.entries(root)}
    assert ("d", "a", "a.mp4", "encoder", "done") in told
    assert ("e", "c", "c.mp4", "pose", "failed") in told
    name, content = entries.settings_of(root)[KEY]
    assert (name, content["reads"]) == ("pose", [OTHER])


def test_a_bundle_made_of_an_imported_store_holds_the_same(bundle: Path, tmp_path: Path) -> None:
    import_bundle(bundle, tmp_path / "new")
    export_bundle(tmp_path / "new", tmp_path / "again.zip")
    first, second = members(bundle), members(tmp_path / "again.zip")
    made = [json.loads(one.pop("manifest.json")) | {"created": ""} for one in (first, second)]
    assert first == second
    assert made[0] == made[1]


def test_no_folder_of_the_machine_and_no_frame_leaves_it(bundle: Path, tmp_path: Path) -> None:
    assert FOLDER.encode() not in bundle.read_bytes()
    assert str(tmp_path).encode() not in bundle.read_bytes()
    found = members(bundle)
    assert {Path(name).suffix for name in found} == {".json", ".safetensors"}
    failed = json.loads(found[f"stages/{C[:16]}/pose-{KEY[:16]}/index.json"])
    assert failed["reason"] == "c.mp4: is truncated after 3 frames"
    manifest = json.loads(found["manifest.json"])
    assert manifest["samples"][0] == {
        "dataset": "d", "id": "a", "video_hash": A, "file": "a.mp4",
    }  # fmt: skip
    config = manifest["settings"][KEY]["content"]["config"]
    assert config == {"weights": "weights.pt", "sizes": [1, {"model": "x.onnx"}]}


def test_only_the_last_name_of_a_path_travels() -> None:
    assert portable({"a": ["/x/y.pt", "x/y.pt", "~/z", "C:\\x\\y.pt", 3, "cls"]}) == {
        "a": ["y.pt", "x/y.pt", "z", "y.pt", 3, "cls"]
    }
    assert last_name("/x/y z.mp4") == "y z.mp4"
    assert portable({"/x/y z/w.pt": "see /x/a b/c.pt"}) == {"w.pt": "see c.pt"}
    assert portable("/x: y/z.pt") == "z.pt"


@pytest.mark.parametrize(
    ("said", "travels"),
    [
        ("ValueError: cannot open /home/al/secret/x.onnx", "ValueError: cannot open x.onnx"),
        ("/home/al smith/v1.0 b/a.mp4: is short", "a.mp4: is short"),
        ("c.mp4: [Errno 2] No such file: '/home/al smith/x y.pt' in b/c", None),
        ("see /home/al/a b.pt or ~/w/c.pt, ~al/d.pt", "see a b.pt or c.pt, d.pt"),
        (r"cannot open C:\Users\Al Smith\x.onnx, D:/y/z.pt", "cannot open x.onnx, z.pt"),
        (r"'C:\\Users\\Al\\x.onnx' is none", "'x.onnx' is none"),
        (r"on \\server\share\x.pt", "on x.pt"),
        ("weights=/home/al/x.pt,(/home/al/y.pt)", "weights=x.pt,(y.pt)"),
        ("PATH=/usr/bin:/home/al/bin", "PATH=bin:bin"),
        ("file:///home/al/x.pt sqlite:////home/al/y.db", "x.pt sqlite:y.db"),
        ("in /home/al/secret/", "in secret/"),
        ('File "/home/al/a.py", line 3\n  /home/al/b.py', 'File "a.py", line 3\n  b.py'),
    ],
)
def test_no_absolute_folder_is_left_in_a_sentence(said: str, travels: str | None) -> None:
    told = without_folders(said)
    assert told == (travels or "c.mp4: [Errno 2] No such file: 'x y.pt' in b/c")
    assert without_folders(told) == told


@pytest.mark.parametrize(
    "said",
    [
        "c.mp4: has 25 frames/s and / or models/x.onnx",
        "https://example.org/models/x.onnx",
        "s3://bucket/x.onnx",
        "~5 of 1/2, a:b, TCP/IP",
        "mediapipe/holistic",
        "",
        "/",
    ],
)
def test_what_is_no_absolute_path_travels_as_it_is(said: str) -> None:
    assert without_folders(said) == said
    assert portable(said) == said


def test_no_folder_travels_in_a_reason_or_in_what_was_noted_along(tmp_path: Path) -> None:
    root, secret = tmp_path / "store", "/home/alice/secret/models"
    noted = {"video": "a.mp4", "model": f"{secret}/x.onnx", "log": [f"read {secret}/y.pt"]}
    stage = Store(root).stage(A, "pose", KEY)
    stage.write([{"x": np.zeros((3, 2))}], noted)
    Store(root).stage(A, "encoder", OTHER).fail(f"ValueError: cannot open {secret}/x.onnx", noted)
    with Ledger(root) as ledger:
        ledger.settings("pose", KEY, {"config": {"flags": f"--model {secret}/x.onnx"}})
    export_bundle(root, tmp_path / "b.zip")
    assert b"alice" not in (tmp_path / "b.zip").read_bytes()
    assert b"secret" not in (tmp_path / "b.zip").read_bytes()
    import_bundle(tmp_path / "b.zip", tmp_path / "new")
    came = Store(tmp_path / "new").stage(A, "pose", KEY)
    assert came.meta == {"video": "a.mp4", "model": "x.onnx", "log": ["read y.pt"]}
    failed = Store(tmp_path / "new").stage(A, "encoder", OTHER)
    assert failed.reason == "ValueError: cannot open x.onnx"
    assert import_bundle(tmp_path / "b.zip", root).there == 2


def test_a_video_that_was_replaced_does_not_travel(store: Path, tmp_path: Path) -> None:
    with Ledger(store) as ledger:
        ledger.sample("d", "a", Path("a.mp4"), C)
    write(store, "99" * 32)  # which no ledger knows
    for dataset, videos in (("d", {B, C}), ("", {B, C, "99" * 8})):
        made = export_bundle(store, tmp_path / "b.zip", dataset=dataset)
        assert {one.video_hash for one in made.stages} == videos
        assert {(one.id, one.video_hash) for one in made.samples if one.dataset == "d"} == {
            ("a", C),
            ("b", B),
        }
    import_bundle(tmp_path / "b.zip", tmp_path / "new")
    assert entries.find_hash(tmp_path / "new", "d", "a") == entries.find_hash(store, "d", "a")


def test_what_has_come_in_is_on_disk_with_the_name_of_its_folder(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    sync = os.fsync

    def noted(handle: int) -> None:
        synced.append(os.fstat(handle).st_ino)
        sync(handle)

    monkeypatch.setattr(os, "fsync", noted)
    import_bundle(bundle, tmp_path / "new")
    for index in (tmp_path / "new").rglob("index.json"):
        one_after_another = pairwise(synced)
        assert (index.parent.stat().st_ino, index.parents[1].stat().st_ino) in one_after_another


def test_stages_and_a_data_set_can_be_chosen(store: Path, tmp_path: Path) -> None:
    made = export_bundle(store, tmp_path / "b.zip", stage_names=["encoder"], dataset="d")
    assert [(one.video_hash, one.name) for one in made.stages] == [(A, "encoder"), (B, "encoder")]
    assert [one.id for one in made.samples] == ["a", "b"]
    made = export_bundle(store, tmp_path / "b.zip", dataset="e")
    assert [(one.video_hash, one.name) for one in made.stages] == [(C, "pose")]
    with pytest.raises(DataError, match=r"has no stage 'encode'; did you mean 'encoder'\?"):
        export_bundle(store, tmp_path / "b.zip", stage_names=["encode"])
    with pytest.raises(DataError, match="has no finished stage of data set 'f'"):
        export_bundle(store, tmp_path / "b.zip", dataset="f")


@pytest.mark.parametrize("said", ["no", "ask", "maybe", False, None])
def test_what_the_terms_do_not_allow_is_refused_unless_they_are_accepted(
    store: Path, tmp_path: Path, said: object
) -> None:
    terms = {"dataset": "d", "source": "https://example.org", "redistribute": said}
    place = tmp_path / "b.zip"
    with pytest.raises(DataError, match=r"source: https://example.org; redistribute: .*accepted"):
        export_bundle(store, place, dataset="d", terms=terms)
    assert not place.exists()
    export_bundle(store, place, dataset="d", terms=terms, terms_accepted=True)
    manifest = json.loads(members(place)["manifest.json"])
    assert manifest["terms_accepted"] is True
    assert manifest["terms"]["source"] == "https://example.org"


def test_terms_travel_with_the_data_and_unknown_ones_are_said_to_be(
    store: Path, bundle: Path, tmp_path: Path
) -> None:
    place = tmp_path / "b.zip"
    for said in ("yes", True):
        made = export_bundle(store, place, dataset="d", terms={"redistribute": said})
        assert (made.terms["redistribute"], made.terms_accepted) == ("yes", False)
    assert json.loads(members(bundle)["manifest.json"])["terms"]["redistribute"] == "unknown"
    with pytest.raises(DataError, match="terms are those of 'd', and there are items of e; export"):
        export_bundle(store, place, terms={"dataset": "d", "redistribute": "yes"})


def test_a_second_import_changes_nothing(bundle: Path, tmp_path: Path) -> None:
    root = tmp_path / "new"
    import_bundle(bundle, root)
    before = {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in root.rglob("*") if p.is_file()}
    done = import_bundle(bundle, root)
    assert (done.new, done.there) == (0, 5)
    after = {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in root.rglob("*") if p.is_file()}
    assert after == before


def test_a_bundle_comes_back_into_the_store_that_made_it(store: Path, bundle: Path) -> None:
    before = files(store)
    assert import_bundle(bundle, store).there == 5
    assert files(store) == before
    assert entries.entries(store)[0].video == "" or FOLDER in entries.entries(store)[0].video


def test_other_content_in_the_place_of_a_stage_is_refused_before_anything_is_written(
    bundle: Path, tmp_path: Path
) -> None:
    root = tmp_path / "new"
    stage = write(root, B, seed=7)
    before = files(root)
    with pytest.raises(DataError, match=rf"the store has another pose in {stage.folder}; delete"):
        import_bundle(bundle, root)
    assert files(root) == before


def test_another_video_under_a_name_that_the_store_knows_is_refused(
    bundle: Path, tmp_path: Path
) -> None:
    root = tmp_path / "new"
    with Ledger(root) as ledger:
        ledger.sample("d", "a", Path("a.mp4"), "99" * 32)
    with pytest.raises(DataError, match="calls another video 'a' of data set 'd' than the store"):
        import_bundle(bundle, root)
    assert unharmed(root)


def test_what_a_kill_left_in_the_place_of_a_stage_is_replaced(bundle: Path, tmp_path: Path) -> None:
    root = tmp_path / "new"
    (write(root, B, seed=7).folder / "index.json").unlink()
    assert import_bundle(bundle, root).new == 5
    assert list(verify(root)) == []


def test_a_damaged_stage_is_not_exported(store: Path, tmp_path: Path) -> None:
    folder = store / B[:16] / f"pose-{KEY[:16]}"
    shard = folder / "shard-00001.safetensors"
    content = shard.read_bytes()
    shard.write_bytes(content[:-1] + b"x")
    place = tmp_path / "b.zip"
    place.write_text("an older bundle")
    with pytest.raises(DamagedError, match="shard-00001.*has changed .* delete this folder"):
        export_bundle(store, place)
    shard.unlink()
    with pytest.raises(DamagedError, match=r"shard-00001\.safetensors is missing"):
        export_bundle(store, place)
    (folder / "index.json").write_text("{")
    with pytest.raises(DamagedError, match="is no index of a stage"):
        export_bundle(store, place)
    assert place.read_text() == "an older bundle"
    assert {path.name for path in tmp_path.iterdir()} == {"store", "b.zip"}


def test_an_export_that_cannot_be_written_is_a_sentence(store: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"b\.zip: the bundle cannot be written"):
        export_bundle(store, tmp_path / "file" / "b.zip")


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.999])
def test_a_truncated_bundle_is_a_sentence(bundle: Path, tmp_path: Path, share: float) -> None:
    content = bundle.read_bytes()
    bundle.write_bytes(content[: int(share * len(content))])
    with pytest.raises(DataError, match=r"bundle\.zip: is truncated or damaged, or no bundle"):
        import_bundle(bundle, tmp_path / "new")
    assert unharmed(tmp_path / "new")


def test_no_bundle_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no such file"):
        import_bundle(tmp_path / "absent.zip", tmp_path / "new")
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as out:
        out.writestr("readme.txt", "hello")
    with pytest.raises(DataError, match=r"it has no manifest\.json"):
        import_bundle(tmp_path / "other.zip", tmp_path / "new")


def test_a_flipped_bit_in_a_file_is_found_and_what_came_before_stays(
    store: Path, bundle: Path, tmp_path: Path
) -> None:
    content, root = bundle.read_bytes(), tmp_path / "new"
    for file in sorted((store / A[:16]).rglob("shard-*")):
        changed = bytearray(content)
        changed[content.index(file.read_bytes()) + 20_000] ^= 1
        bundle.write_bytes(changed)
        before = len(list(root.rglob("index.json")))
        with pytest.raises(DataError, match=r"bundle\.zip: "):
            import_bundle(bundle, root)
        assert list(verify(root)) == []
        assert len(list(root.rglob("index.json"))) >= before
    bundle.write_bytes(content)
    import_bundle(bundle, root)
    assert list(verify(root)) == []


def test_no_flipped_bit_anywhere_changes_what_comes_in(
    store: Path, bundle: Path, tmp_path: Path
) -> None:
    content, left = bytearray(bundle.read_bytes()), files(store)
    tail = content.index(b"PK\x01\x02")  # the directory, where names and offsets are
    places = np.random.default_rng(0).integers(0, len(content), 10).tolist()
    for n, place in enumerate([*places, *range(tail, len(content), 37)]):
        changed = content.copy()
        changed[place] ^= 1 << n % 8
        bundle.write_bytes(changed)
        root = tmp_path / f"new{n}"
        try:
            import_bundle(bundle, root)
        except DataError:
            assert not root.exists() or list(verify(root)) == []
        else:  # in a date, say
            assert {k: v for k, v in files(root).items() if "shard" in k} == {
                k: v for k, v in left.items() if "shard" in k
            }


EVIL = ["../x", "/etc/x", "..\\x", "C:\\x", "a/../../x", ".", "..", "", "a/b", "a\x00b", "-x"]


@pytest.mark.parametrize("evil", EVIL)
@pytest.mark.parametrize("field", ["name", "video_hash", "key"])
def test_no_name_in_a_manifest_leads_out_of_the_store(
    bundle: Path, tmp_path: Path, field: str, evil: str
) -> None:
    change_manifest(bundle, lambda manifest: manifest["stages"][0].update({field: evil}))
    with pytest.raises(
        DataError, match=rf"manifest\.json is none of emoframe's \(stages\.0\.{field}"
    ):
        import_bundle(bundle, tmp_path / "new")
    assert {path.name for path in tmp_path.iterdir()} == {"store", "bundle.zip"}


@pytest.mark.parametrize("evil", ["../x", "/etc/x", "C:\\x", "other.json", "shard-0.safetensors"])
def test_no_file_of_a_stage_is_called_otherwise_than_the_store_calls_it(
    bundle: Path, tmp_path: Path, evil: str
) -> None:
    """Even where manifest, index and member agree on it."""
    found = members(bundle)
    manifest = json.loads(found.pop("manifest.json"))
    stage = manifest["stages"][0]
    folder = f"stages/{stage['video_hash'][:16]}/{stage['name']}-{stage['key'][:16]}"
    index = json.loads(found[f"{folder}/index.json"])
    old = index["shards"][0]["file"]
    index["shards"][0]["file"] = evil
    changed = json.dumps(index).encode()
    stage["files"][evil] = stage["files"].pop(old)
    stage["files"]["index.json"] = hashlib.sha256(changed).hexdigest()
    shard = found[f"{folder}/{old}"]
    repack(
        bundle,
        {
            "manifest.json": json.dumps(manifest).encode(),
            f"{folder}/index.json": changed,
            f"{folder}/{old}": None,
            f"{folder}/{evil}": shard,
        },
    )
    with pytest.raises(DataError, match=r"bundle\.zip: "):
        import_bundle(bundle, tmp_path / "new")
    assert {path.name for path in tmp_path.iterdir()} == {"store", "bundle.zip"}


@pytest.mark.parametrize("evil", ["../x", "/etc/x", "C:\\x", "stages/x", "manifest.json.py"])
def test_a_member_that_the_manifest_does_not_name_is_refused(
    bundle: Path, tmp_path: Path, evil: str
) -> None:
    repack(bundle, {evil: b"x"})
    with pytest.raises(DataError, match=r"which its manifest\.json does not name"):
        import_bundle(bundle, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_link_a_packed_a_doubled_and_a_missing_member_are_refused(
    bundle: Path, tmp_path: Path
) -> None:
    content = bundle.read_bytes()
    name = f"stages/{A[:16]}/pose-{KEY[:16]}/shard-00000.safetensors"
    link = zipfile.ZipInfo(name)
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    packed = zipfile.ZipInfo(name)
    packed.compress_type = zipfile.ZIP_DEFLATED
    for info, says in ((link, "no plain stored file"), (packed, "no plain stored file")):
        bundle.write_bytes(content)
        repack(bundle, {name: None})
        with zipfile.ZipFile(bundle, "a") as out:
            out.writestr(info, b"/etc/passwd" * 100)
        with pytest.raises(DataError, match=says):
            import_bundle(bundle, tmp_path / "new")
    bundle.write_bytes(content)
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(bundle, "a") as out:
        out.writestr(zipfile.ZipInfo(name), b"x")
    with pytest.raises(DataError, match="two files of one name"):
        import_bundle(bundle, tmp_path / "new")
    bundle.write_bytes(content)
    repack(bundle, {name: None})
    with pytest.raises(DataError, match=r"shard-00000\.safetensors' is missing from it"):
        import_bundle(bundle, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_link_in_the_store_is_not_followed(bundle: Path, tmp_path: Path) -> None:
    root, elsewhere = tmp_path / "new", tmp_path / "elsewhere"
    elsewhere.mkdir()
    root.mkdir()
    (root / B[:16]).symlink_to(elsewhere)
    with pytest.raises(DataError, match="the store has a link in place of"):
        import_bundle(bundle, root)
    assert list(elsewhere.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda m: m.update(format=2), "which is newer; use that version"),
        (lambda m: m.update(stages=m["stages"] + m["stages"][:1]), "names a stage twice"),
        (lambda m: m["samples"][0].update(file="../a.mp4"), "which is more than a name"),
        (lambda m: m["stages"][0]["files"].update({"index.json": "0" * 64}), "is not what was exp"),
        (lambda m: m.pop("samples"), r"samples: Field required"),
    ],
)
def test_a_manifest_that_cannot_be_believed_is_refused(
    bundle: Path, tmp_path: Path, change: Callable[[dict[str, Any]], object], says: str
) -> None:
    change_manifest(bundle, change)
    with pytest.raises(DataError, match=says):
        import_bundle(bundle, tmp_path / "new")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"x" * 500, "is no safetensors file"),
        (save({"x": np.zeros((7, 2))}), "has not 3000 frames"),
        (save({"x": np.array(3.0)}), "has not 3000 frames"),
    ],
)
def test_a_shard_that_is_none_does_not_come_in_though_its_hash_is_right(
    tmp_path: Path, content: bytes, says: str
) -> None:
    stage = Store(tmp_path / "store").stage(A, "pose", KEY)
    stage.write([{"x": np.zeros((3, 2))}], {})
    shard, file = stage.folder / "shard-00000.safetensors", stage.folder / "index.json"
    index = json.loads(file.read_text())
    shard.write_bytes(content)
    index["shards"][0] |= {
        "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest(), "frames": 3000,
    }  # fmt: skip
    file.write_text(json.dumps(index))
    export_bundle(tmp_path / "store", tmp_path / "b.zip")
    with pytest.raises(DataError, match=says):
        import_bundle(tmp_path / "b.zip", tmp_path / "new")
    assert unharmed(tmp_path / "new")


def test_neither_way_holds_a_shard_in_memory(tmp_path: Path) -> None:
    stage = Store(tmp_path / "store").stage(A, "pose", KEY)
    stage.write([{"x": np.zeros((1000, 8000), np.float32)}], {})
    place = tmp_path / "b.zip"
    tracemalloc.start()
    export_bundle(tmp_path / "store", place)
    import_bundle(place, tmp_path / "new")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**23 < 2**24 < place.stat().st_size


@pytest.mark.parametrize("piece", [1, 2, 3, 5, 8, 9])
def test_a_kill_in_the_middle_of_an_import_is_made_good_by_the_next(
    store: Path, bundle: Path, tmp_path: Path, piece: int
) -> None:
    root = tmp_path / "new"
    command = [sys.executable, __file__, str(bundle), str(root), "kill", str(piece)]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    assert all(one.harmless for one in verify(root))
    finished = len(list(root.rglob("index.json")))
    done = import_bundle(bundle, root)
    assert (done.new, done.there) == (5 - finished, finished)
    assert list(verify(root)) == []
    shards = {name: content for name, content in files(store).items() if "shard" in name}
    assert {n: c for n, c in files(root).items() if "shard" in n} == shards


def test_a_full_disk_is_a_sentence_and_the_store_still_verifies(
    bundle: Path, tmp_path: Path
) -> None:
    root = tmp_path / "new"
    import_bundle(bundle, root)
    (root / B[:16] / f"pose-{KEY[:16]}" / "index.json").unlink()
    command = [sys.executable, __file__, str(bundle), str(root), "limit", "20000"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "StoreError" in done.stderr
    assert "the store cannot be written (File too large); free space" in done.stderr
    assert "truncated" not in done.stderr
    assert list(verify(root)) == []
    assert import_bundle(bundle, root).new == 1


def test_a_store_that_cannot_be_made_is_a_sentence(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="cannot be written"):
        import_bundle(bundle, tmp_path / "file")


def _be_killed_at_piece(number: int) -> None:
    """Die by SIGKILL when half of the n-th file is written."""
    take, count = bundle_import._take_shard, 0

    def deadly(source: Any, file: Path, shard: Any) -> None:
        nonlocal count
        count += 1
        if count == number:
            file.write_bytes(source.read(100))
            os.kill(os.getpid(), signal.SIGKILL)
        take(source, file, shard)
        if count == number - 1:  # all but the index
            os.kill(os.getpid(), signal.SIGKILL)

    bundle_import._take_shard = deadly


if __name__ == "__main__":
    limit = int(sys.argv[4])
    if sys.argv[3] == "kill":
        _be_killed_at_piece(limit)
    else:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    import_bundle(Path(sys.argv[1]), Path(sys.argv[2]))
