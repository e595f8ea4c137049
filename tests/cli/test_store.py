"""The store's commands as their user meets them: tables, JSON, sentences and exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from emoframe import api
from emoframe.perception.ledger import Ledger
from emoframe.perception.store import Store

A, B, KEY = "aa" * 32, "bb" * 32, "cd" * 32


def emoframe(*args: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "emoframe", "store", *map(str, args)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def write(root: Path, video: str = A, name: str = "pose", key: str = KEY) -> Path:
    stage = Store(root).stage(video, name, key)
    stage.write([{"x": np.zeros((10, 2), np.float32)}], {"valid": {"face": 0.5}})
    return stage.folder


@pytest.fixture
def store(tmp_path: Path) -> Path:
    root = tmp_path / "store"
    write(root)
    Store(root).stage(B, "pose", KEY).fail("nobody was found", {"video": "b.mp4"})
    with Ledger(root) as ledger:
        ledger.sample("d", "one\x1b[31m\n", Path("/x/a.mp4"), A)
        ledger.end(A, "pose", KEY, "done", seconds=2.0, frames=10)
    return root


def test_ls_lists_stages_and_failures_with_their_reason(store: Path) -> None:
    shown = emoframe("ls", store)
    assert shown.returncode == 0, shown.stderr
    for text in ("pose", "cdcdcdcd", "done", "failed", "nobody was found", "face 50%", "a.mp4"):
        assert text in shown.stdout
    assert "\x1b" not in shown.stdout
    assert "2 listed" in shown.stderr
    assert emoframe("ls", store, "--failed").stdout.count("cdcdcdcd") == 1
    assert emoframe("ls", store, "--stage", "encoder").stdout.strip() == ""
    found = json.loads(emoframe("ls", store, "--json").stdout)
    assert [one["status"] for one in found] == ["failed", "done"]
    assert "STAGE@KEY" in emoframe("ls", "--help").stdout


def test_stats_sum_up(store: Path) -> None:
    shown = emoframe("stats", store)
    assert shown.returncode == 0, shown.stderr
    assert "face 50%" in shown.stdout
    (one,) = json.loads(emoframe("stats", store, "--json").stdout)
    assert (one["done"], one["failed"], one["frames_per_s"]) == (1, 1, 5.0)


def test_verify_exits_with_one_where_anything_is_wrong(store: Path) -> None:
    (write(store, name="killed") / "index.json").unlink()
    whole = emoframe("verify", store)
    assert (whole.returncode, "nothing wrong, 1 to note" in whole.stderr) == (0, True)
    assert whole.stdout.startswith("note: ")
    shard = next(store.rglob("pose-*/*.safetensors"))
    shard.write_bytes(shard.read_bytes()[:-1])
    damaged = emoframe("verify", store)
    assert damaged.returncode == 1
    assert f"{shard.parent}: {shard.name} has changed" in damaged.stdout
    assert "delete this folder and extract again" in damaged.stdout


def test_gc_keeps_what_a_config_uses_and_deletes_only_when_told(store: Path) -> None:
    used = [write(store, B, *one) for one in api.stage_keys_of(api.load("quickstart")).items()]
    said = emoframe("gc", store, "--keep", "quickstart")
    assert said.returncode == 0, said.stderr
    assert "made with other settings" in said.stdout
    assert "2 folders" in said.stderr
    assert "would go; --delete deletes them" in said.stderr
    assert len(list(store.rglob("index.json"))) == 2 + len(used)
    assert emoframe("gc", store, "--keep", "quickstart", "--delete").returncode == 0
    assert sorted(path.parent for path in store.rglob("index.json")) == sorted(used)
    assert emoframe("gc", store, "--delete").returncode == 2


def test_gc_keeps_a_stage_that_a_config_names_by_its_key_and_what_it_was_made_of(
    store: Path, tmp_path: Path
) -> None:
    config, before = tmp_path / "mine.yaml", "ef" * 32
    config.write_text("base: quickstart\nfeatures: {keypoints: pose@cdcdc}\nperception: {}\n")
    made_of = write(store, name="crop", key=before)
    goes = write(store, name="other", key="12" * 32)
    with Ledger(store) as ledger:
        ledger.settings("pose", KEY, {"reads": [before]})
    done = emoframe("gc", store, "--keep", config, "--delete")
    assert done.returncode == 0, done.stderr
    left = {path.parent for path in store.rglob("index.json")}
    assert made_of in left
    assert {one.name for one in left} == {made_of.name, f"pose-{KEY[:16]}"}
    assert not goes.exists()


def test_a_bundle_goes_out_under_its_terms_and_comes_in(store: Path, tmp_path: Path) -> None:
    terms, bundle = tmp_path / "terms.yaml", tmp_path / "b.zip"
    terms.write_text('redistribute: "no"  # neither videos nor labels\nagreement: by mail\n')
    refused = emoframe("export", store, bundle, "--terms", terms)
    assert refused.returncode == 2
    assert "redistribute: no; agreement: by mail" in refused.stderr
    accepted = emoframe("export", store, bundle, "--terms", terms, "--terms-accepted")
    assert accepted.returncode == 0, accepted.stderr
    assert "2 stages of 1 items" in accepted.stderr
    came = emoframe("import", bundle, tmp_path / "new")
    assert came.returncode == 0, came.stderr
    assert "2 stages are new, 0 were there" in came.stderr
    assert "agreement: by mail" in came.stderr
    assert emoframe("verify", tmp_path / "new").returncode == 0
    assert "its terms are unknown" in emoframe("export", store, bundle).stderr


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["ls", "absent"], "there is no store here"),
        (["stats", "absent"], "there is no store here"),
        (["verify", "absent"], "there is no store here"),
        (["gc", "absent", "--keep", "quickstart"], "there is no store here"),
        (["export", "absent", "b.zip"], "there is no store here"),
        (["export", ".", "b.zip", "--terms", "absent.yaml"], "cannot be read as terms"),
        (["import", "absent.zip", "."], "there is no such file"),
    ],
)
def test_a_mistake_is_a_sentence_and_exit_code_2(
    args: list[str], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = emoframe(*args)
    assert done.returncode == 2, done.stderr
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_a_data_set_takes_its_own_terms_along(store: Path, tmp_path: Path) -> None:
    with Ledger(store) as ledger:
        ledger.sample("imigue", "0001", Path("0001.mp4"), A)
    refused = emoframe("export", store, tmp_path / "b.zip", "--dataset", "imigue")
    assert refused.returncode == 2
    assert "redistribute" in refused.stderr
    assert not (tmp_path / "b.zip").exists()
