"""`emoframe label` as its user meets it: the price before, the state after, and nothing leaked."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from emoframe import label as api
from emoframe.cli.app import build_app
from emoframe.core.errors import EmoframeError
from emoframe.core.plugins import loaded
from emoframe.core.registry import create
from emoframe.labelling import CallError, Question, Reply
from emoframe.weak_labels.asking.calls import Caller
from emoframe.weak_labels.store import LabelStore

HELPERS = Path(__file__).parents[1] / "weak_labels"
_spec = importlib.util.spec_from_file_location("scripted", HELPERS / "scripted.py")
assert _spec
assert _spec.loader
scripted = importlib.util.module_from_spec(_spec)
sys.modules["scripted"] = scripted
_spec.loader.exec_module(scripted)
COST = scripted.COST
PLANTED = [
    "dataset.train=4", "dataset.test=2", "dataset.frames=16", "privacy.upload=allowed",
    "weak_labels.vlm_labeler.type=remote", "weak_labels.vlm_labeler.looks=false",
]  # fmt: skip
MAY = ["--i-may-upload", "planted"]
MakeVideo = Callable[..., Path]


@pytest.fixture(scope="module", autouse=True)
def plugin() -> Iterator[None]:
    before = dict(loaded().offers)
    plugin = loaded().load_file(HELPERS / "parts.py")
    yield
    loaded().plugins.remove(plugin)
    loaded().manager.unregister(name=plugin.name)
    for added in set(loaded().offers) - set(before):
        del loaded().offers[added]


@pytest.fixture
def remote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[list[str], Counter]]:
    """Overrides that ask a server about planted clips, and how often it answered what."""
    monkeypatch.chdir(tmp_path)
    with scripted.server() as (url, answered):
        yield [*PLANTED, f"weak_labels.vlm_labeler.url={url}"], answered


def emoframe(*args: str) -> Result:
    done = CliRunner().invoke(build_app(), ["label", *args])
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done


def found(*args: str) -> dict[str, Any]:
    return json.loads(emoframe(*args, "--json").stdout)


def refused(*args: str) -> str:
    with pytest.raises(EmoframeError) as error:
        emoframe(*args)
    return str(error.value)


def test_every_clip_is_asked_about_once(remote: tuple[list[str], Counter]) -> None:
    overrides, answered = remote
    done = emoframe("quickstart", *overrides, *MAY)
    assert done.exit_code == 0, done.output
    assert "question 6/6" in done.stderr
    assert answered.total() == 6
    again = found("quickstart", *overrides)
    assert answered.total() == 6
    assert (again["statuses"], again["summary"]["calls"]) == ({"ok": 6}, 0)
    assert again["spent"] == pytest.approx(6 * COST)
    more = found("quickstart", *overrides, "--samples", "3")
    assert answered.total() == 18
    assert set(answered.values()) == {1}
    assert more["statuses"] == {"ok": 18}
    with LabelStore(Path("labels.sqlite")) as store:
        items = store.items("planted")
        assert sorted(item for _, item in items) == [
            *(f"test-{n:05d}" for n in range(2)), *(f"train-{n:05d}" for n in range(4)),
        ]  # fmt: skip
        assert {one.key.clip for one in store.answers()} == set(items.values())


def test_a_plan_says_the_most_before_anything_is_sent(
    remote: tuple[list[str], Counter],
) -> None:
    overrides, answered = remote
    told = emoframe("quickstart", *overrides, "--plan", "--budget", "0.1", "--samples", "2")
    assert told.exit_code == 0, told.output
    assert f"${12 * 10 * COST:.4f}" in told.stdout
    assert "upper bounds; gpt-4o is priced (2025" in told.stderr
    assert "may exceed the budget of $0.1000" in told.stderr
    assert "terms of planted: unknown" in told.stderr
    looks = [*overrides, "weak_labels.vlm_labeler.looks=true"]
    assert "looks at videos, and there is none" in emoframe("quickstart", *looks, "--plan").stderr
    assert "looks at videos, and there is none" in refused("quickstart", *looks, *MAY)
    assert not answered
    assert not Path("labels.sqlite").exists()
    found("quickstart", *overrides, *MAY, "--limit", "2")
    plan = found("quickstart", *overrides, "--plan")
    assert (plan["videos"], plan["answered"]) == (4, 2)
    assert plan["spent"] == pytest.approx(2 * COST)
    assert answered.total() == 2


def test_an_unknown_price_is_a_warning_of_the_plan_and_no_budget_can_be_kept(
    remote: tuple[list[str], Counter],
) -> None:
    overrides, answered = remote
    overrides = [*overrides, "weak_labels.vlm_labeler.model=oracle-1"]
    assert "oracle-1: no price is known" in emoframe("quickstart", *overrides, "--plan").stderr
    assert "budget of $5 cannot be kept" in refused("quickstart", *overrides, *MAY, "--budget", "5")
    assert not answered


def test_a_budget_ends_the_run_with_a_sentence_and_code_1(
    remote: tuple[list[str], Counter],
) -> None:
    overrides, answered = remote
    done = emoframe("quickstart", *overrides, *MAY, "--budget", str(13 * COST))
    assert done.exit_code == 1
    assert "the budget of" in done.stderr
    assert answered.total() == 4  # of the fifth the bound does not fit any more
    assert "open" in done.stdout
    mine = Path("prices.yaml")
    mine.write_text("models: {gpt-4o: {tiers: [{input: 0, output: 0}]}}")
    cheap = found("quickstart", *overrides, "--budget", "1", "--prices", str(mine))
    assert cheap["statuses"] == {"ok": 6}


def test_splits_and_limits_choose_the_clips(remote: tuple[list[str], Counter]) -> None:
    overrides, answered = remote
    assert found("quickstart", *overrides, *MAY, "--split", "test")["statuses"] == {"ok": 2}
    assert answered.total() == 2
    assert found("quickstart", *overrides, "--limit", "3")["statuses"] == {"ok": 3}
    assert answered.total() == 5


def test_what_ended_without_a_label_is_asked_again_only_by_name(
    remote: tuple[list[str], Counter], monkeypatch: pytest.MonkeyPatch
) -> None:
    overrides, answered = remote
    asked = Caller._call
    broken = Reply("", "blocked", "SAFETY")
    with monkeypatch.context() as patched:
        patched.setattr(Caller, "_call", lambda self, call, question: broken)
        first = emoframe("quickstart", *overrides, *MAY, "--limit", "2")
        assert first.exit_code == 1
    assert Caller._call is asked
    assert found("quickstart", *overrides, "--limit", "2")["statuses"] == {"blocked": 2}
    assert "must be among blocked" in refused("quickstart", *overrides, "--retry", "blokced")
    assert not answered
    retry = ("--limit", "2", "--retry", "unparsable, blocked")
    assert found("quickstart", *overrides, *retry)["statuses"] == {"ok": 2}
    with LabelStore(Path("labels.sqlite")) as store:
        assert len(store.contents().answers) == 4  # nothing was overwritten


def test_what_the_service_had_no_time_for_is_asked_again(
    remote: tuple[list[str], Counter], monkeypatch: pytest.MonkeyPatch
) -> None:
    overrides, _ = remote

    def busy(self: Caller, call: int, question: Question) -> Reply:
        self._failed(call, "busy", paid=True)
        raise CallError("busy", status="quota")

    with monkeypatch.context() as patched:
        patched.setattr(Caller, "_call", busy)
        done = emoframe("quickstart", *overrides, *MAY, "--limit", "1")
    assert done.exit_code == 1
    assert "unknown: " in done.stderr
    assert "sample 0: busy" in done.stderr
    after = found("quickstart", *overrides, "--limit", "1")
    assert (after["statuses"], len(after["unknown"])) == ({"ok": 1}, 1)
    assert after["spent"] == pytest.approx(11 * COST)


def test_nothing_leaves_unless_the_config_and_the_user_say_so(
    remote: tuple[list[str], Counter], monkeypatch: pytest.MonkeyPatch
) -> None:
    overrides, answered = remote

    def unread(*_: object) -> None:
        raise AssertionError

    with monkeypatch.context() as patched:
        patched.setattr("emoframe.learning.asking.create", unread)
        for more in ([], MAY):
            said = refused("quickstart", *overrides, "privacy.upload=never", *more)
            assert "privacy.upload is 'never'; nothing was read or sent" in said
    planned = found("quickstart", *overrides, "privacy.upload=never", "--plan")
    assert any("as it is, nothing is sent" in one for one in planned["warnings"])
    assert "with --i-may-upload planted" in refused("quickstart", *overrides)
    assert "data set of this config is 'planted'" in refused(
        "quickstart", *overrides, "--i-may-upload", "imigue"
    )
    assert not answered
    stays = [*overrides, "weak_labels.vlm_labeler.uploads=false", "privacy.upload=never"]
    assert found("quickstart", *stays, "--limit", "1")["statuses"] == {"ok": 1}


@pytest.mark.parametrize("more", [[], ["--plan"]])
def test_rules_are_not_asked_what_they_cannot_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: list[str]
) -> None:
    """They name units and judge nothing: a prompt without units would get empty answers."""
    monkeypatch.chdir(tmp_path)
    rules = ["dataset.train=4", "dataset.test=2", "weak_labels.prompt=simple"]
    said = refused("quickstart", *rules, *more)
    assert "weak_labels.prompt: 'simple' asks for no units" in said
    assert "take a prompt such as 'cot'" in said
    assert not list(tmp_path.iterdir())


def test_a_training_item_that_is_lost_costs_a_simulated_labeler_that_item_alone(
    make_video: MakeVideo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make_video("whole.mp4")
    table = tmp_path / "table.csv"
    table.write_text("video,label,split\nwhole.mp4,a,train\ngone.mp4,b,train\n")
    done = api.label("videos", [f"dataset.path={table}", "weak_labels.vlm_labeler.type=teacher"])
    assert (done.statuses, list(done.lost)) == ({"ok": 1}, ["gone.mp4"])


def test_only_a_simulated_labeler_learns_the_truth_and_of_train_alone(
    remote: tuple[list[str], Counter],
) -> None:
    overrides = [one for one in remote[0] if "vlm_labeler" not in one]
    taught = api.label("quickstart", [*overrides, "weak_labels.vlm_labeler.type=teacher"])
    assert taught.statuses == {"ok": 4, "error": 2}
    experiment = api.load("quickstart", overrides)
    refs = create("dataset", experiment.dataset).samples("train")
    with LabelStore(Path("labels.sqlite")) as store:
        items = store.items()
        said = {one.key.clip: one.label for one in store.answers() if one.label}
        assert {one.reason for one in store.answers(status="error")} == {
            "the truth about this clip is sealed"
        }
    for ref in refs:
        label = said[items["planted", ref.id]]
        assert label.simulated
        assert label.label == ref.label


def test_prompts_and_clips_are_the_same_whatever_is_true(
    remote: tuple[list[str], Counter], make_video: MakeVideo, tmp_path: Path
) -> None:
    """Labels, subjects and names are dealt out anew; what is asked of whom stays as it was."""
    overrides, answered = remote
    contents = []
    for name, order in (("one", [0, 1, 2]), ("other", [2, 0, 1])):
        folder = tmp_path / name
        folder.mkdir()
        rows = ["video,label,split,subject,id"]
        for n in range(3):
            video = make_video(f"{name}/{name}-{order[n]}.mp4", frames=10 + n)
            rows.append(f"{video.name},{['down', 'up'][order[n] % 2]},train,s{order[n]},{name}-{n}")
        (folder / "table.csv").write_text("\n".join(rows))
        store = folder / "labels.sqlite"
        settings = [
            *(one for one in overrides if not one.startswith("dataset")),
            f"dataset.path={folder / 'table.csv'}", "dataset.classes=[down,up]",
            f"weak_labels.store={store}", "weak_labels.vlm_labeler.looks=true",
            "weak_labels.task=The classes say where they look.",
        ]  # fmt: skip
        found("videos", *settings, "--i-may-upload", "manifest:table")
        with LabelStore(store) as labels:
            prompts = [one.prompt for one in labels.prompts()]
            contents.append((prompts, [(one.key, one.reply.text) for one in labels.answers()]))
    assert contents[0] == contents[1]
    assert set(answered.values()) == {2}


def test_a_video_that_cannot_be_read_costs_itself_alone(
    remote: tuple[list[str], Counter], make_video: MakeVideo, tmp_path: Path
) -> None:
    overrides, answered = remote
    whole, broken = make_video("whole.mp4"), make_video("broken.mp4", frames=90)
    broken.write_bytes(broken.read_bytes()[:-3000])
    twin = tmp_path / "twin.mp4"
    twin.write_bytes(whole.read_bytes())
    table = tmp_path / "table.csv"
    names = ("whole", "broken", "gone", "twin")
    table.write_text("video,label,split\n" + "".join(f"{n}.mp4,{n[0]},train\n" for n in names))
    settings = [
        *(one for one in overrides if not one.startswith("dataset")),
        f"dataset.path={table}", "weak_labels.vlm_labeler.looks=true",
    ]  # fmt: skip
    done = emoframe("videos", *settings, "--i-may-upload", "manifest:table")
    assert done.exit_code == 1
    assert answered.total() == 1
    assert "gone.mp4: " in done.stderr
    with LabelStore(Path("labels.sqlite")) as store:
        assert [one.status for one in store.answers(status="error")] == ["error"]
        items = store.items("manifest:table")
        assert items["manifest:table", "whole.mp4"] == items["manifest:table", "twin.mp4"]


def test_two_at_once_do_not_pay_for_the_same(remote: tuple[list[str], Counter]) -> None:
    overrides = remote[0]
    found("quickstart", *overrides, *MAY, "--limit", "1")
    with LabelStore(Path("labels.sqlite")) as store:
        keys = [store.prompts()[0].hash, store.labelers()[0].key]
    command = [sys.executable, HELPERS / "test_alone.py", "labels.sqlite", *keys]
    other = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert other.stdout
    other.stdout.readline()
    assert "another process asks this labeler the same" in refused("quickstart", *overrides)
    changed = [*overrides, "weak_labels.vlm_labeler.mood=sour"]
    assert found("quickstart", *changed, "--limit", "1")["statuses"] == {"ok": 1}
    other.kill()
    other.wait()
    assert found("quickstart", *overrides)["statuses"] == {"ok": 6}


def test_a_labeler_without_batches_says_so(remote: tuple[list[str], Counter]) -> None:
    assert "takes no batches" in refused("quickstart", *remote[0], *MAY, "--batch")


def test_a_batch_is_handed_in_waits_and_is_collected_by_the_next_run(
    remote: tuple[list[str], Counter], tmp_path: Path
) -> None:
    overrides = [one for one in remote[0] if "vlm_labeler" not in one]
    folder = tmp_path / "service"
    folder.mkdir()
    overrides += [
        "weak_labels.vlm_labeler.type=patient",
        f"weak_labels.vlm_labeler.folder={folder}",
    ]
    sent = emoframe("quickstart", *overrides, *MAY, "--batch", "--limit", "4")
    assert sent.exit_code == 0, sent.output
    assert "4 questions were submitted as emoframe-" in sent.stderr
    waits = emoframe("quickstart", *overrides, "--batch", "--limit", "4")
    assert (waits.exit_code, "is not done; run again later" in waits.stderr) == (0, True)
    assert "waiting" in waits.stdout
    assert found("quickstart", *overrides, "--limit", "4")["statuses"] == {"waiting": 4}
    hint = "4 questions wait in a batch; run again with --batch"
    assert hint in emoframe("quickstart", *overrides, "--limit", "4").stderr
    assert len(list(folder.iterdir())) == 1
    (folder / "done").touch()
    done = found("quickstart", *overrides, "--batch")
    assert done["statuses"] == {"ok": 4, "waiting": 2}
    assert len(list(folder.iterdir())) == 3
    assert found("quickstart", *overrides, "--batch")["statuses"] == {"ok": 6}
    assert done["spent"] == pytest.approx(4 * COST / 2 + 2 * 10 * COST / 2)


def test_a_table_of_the_same_name_and_other_videos_is_told_of(
    remote: tuple[list[str], Counter], caplog: pytest.LogCaptureFixture
) -> None:
    overrides, _ = remote
    found("quickstart", *overrides, *MAY, "--limit", "2")
    assert "stood for other videos" not in caplog.text
    found("quickstart", *overrides, "dataset.seed=5", "--limit", "2")
    assert "2 items of 'planted'" in caplog.text and "dataset.name" in caplog.text
