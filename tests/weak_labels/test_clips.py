"""What a clip promises: a silent file without a past, in which only that is seen which may be."""

from __future__ import annotations

import importlib.util
import io
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.bitstream import BitStreamFilterContext

from emoframe.core.errors import DataError
from emoframe.labelling import Show
from emoframe.perception.mp4 import encode
from emoframe.perception.video import probe, read, video_hash
from emoframe.records import Frames, Keypoints
from emoframe.weak_labels.shown import film
from emoframe.weak_labels.shown.clips import clip_key, opened

MakeVideo = Callable[..., Path]
_file = Path(__file__).parents[1] / "perception" / "broken_media.py"
_spec = importlib.util.spec_from_file_location("broken_media", _file)
assert _spec is not None
assert _spec.loader is not None
media = importlib.util.module_from_spec(_spec)
sys.modules["broken_media"] = media  # its dataclass looks there for its annotations
_spec.loader.exec_module(media)

PLAIN = Show()
BOX = (20.0, 4.0, 50.0, 44.0)
ODD = (
    "whole.mkv", "whole.webm", "whole.avi", "whole.gif", "whole.ts", "fragmented.mp4",
    "turned_90.mp4", "turned_180.mp4", "turned_270.mp4", "turned_90.mkv", "odd_size.mp4",
    "size_1x1.mkv", "rate_varies.mp4", "rate_60.mp4", "rate_1.mp4", "one_frame.gif",
    "still_png.mp4", "ten_bit.mp4", "grey.mkv", "alpha.webm", "interlaced.mp4", "b_frames.mp4",
    "starts_late.mp4", "starts_early.mp4", "clock_wraps.ts", "trimmed.mp4", "with_sound.mp4",
    "sound_lasts_longer.mp4", "subtitles_first.mkv", "two_videos.mp4",
)  # fmt: skip
COPIED = ("whole.mkv", "fragmented.mp4", "rate_varies.mp4", "b_frames.mp4")
BROKEN = (
    "cut_middle.mp4", "cut_whole_frames.mkv", "cut_middle.ts", "lost_bytes.mp4", "times_back.mkv",
    "no_key_frame.mp4", "duration_huge.mkv", "empty.mp4", "words.mp4", "sound.mp4", "gone.mp4",
    "size_changes.ts", "encrypted.mp4",
)  # fmt: skip


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of odd and of broken files."""
    folder = tmp_path_factory.mktemp("odd")
    for name in (*ODD, *BROKEN, "whole.mp4"):
        media.CASES[name].make(folder / name)
    return folder


def everything(path: Path) -> Frames:
    """Decode a whole video."""
    chunks = list(read(path))
    return Frames(
        *(np.concatenate([getattr(c, f) for c in chunks]) for f in ("rgb", "time_s", "index"))
    )


def someone(frames: int, box: tuple[float, ...] = BOX, seen: slice = slice(None)) -> Keypoints:
    """Make a person with a face around (35, 12) and shoulders below, in some of the frames."""
    xy = np.full((frames, 137, 2), np.nan, np.float32)
    angle = np.linspace(0, 2 * np.pi, 70)
    xy[seen, 25:95] = np.stack([35 + 5 * np.cos(angle), 12 + 5 * np.sin(angle)], axis=1)
    xy[seen, [2, 5, 3]] = [[27, 24], [43, 24], [25, 36]]
    valid = np.isfinite(xy).all(axis=2)
    boxes = np.full((frames, 4), np.nan, np.float32)
    boxes[seen] = box
    return Keypoints(
        xy, valid.astype(np.float32), valid, np.arange(frames) / 25, "openpose_137", boxes
    )


def test_a_clip_is_known_by_the_bytes_of_its_video_whatever_it_is_called(
    make_video: MakeVideo, tmp_path: Path
) -> None:
    video = make_video("famous_player.mp4")
    renamed = video.rename(tmp_path / "x.mp4")
    assert clip_key(renamed, None) == clip_key(renamed, someone(3)) == video_hash(renamed)
    assert clip_key(make_video("other.mp4", frames=5), None) != clip_key(renamed, None)


def test_without_a_video_it_is_known_by_what_was_measured_and_by_nothing_under_a_mask() -> None:
    person = someone(4)
    hidden = replace(person, xy=np.where(person.valid[..., None], person.xy, 7).astype(np.float32))
    assert clip_key(None, hidden) == clip_key(None, person)
    moved = replace(person, xy=person.xy + 1)
    unknown = replace(person, valid=np.zeros_like(person.valid))
    assert len({clip_key(None, one) for one in (person, moved, unknown, someone(5))}) == 4
    with pytest.raises(DataError, match="neither; give one"):
        clip_key(None, None)


@pytest.mark.parametrize("name", ODD)
def test_an_odd_file_is_shown_upright_and_at_its_times(odd: Path, name: str) -> None:
    source = everything(odd / name)
    with opened(odd / name, PLAIN) as clip:
        assert clip.path is not None
        shown = everything(clip.path)
        with av.open(str(clip.path)) as container:
            assert container.format.name.startswith("mov")
            assert [s.codec_context.name for s in container.streams] == ["h264"]
        assert clip.size == shown.rgb.shape[2:0:-1]
        assert clip.duration_s >= shown.time_s[-1]
    height, width = source.rgb.shape[1:3]
    assert shown.rgb.shape[1:3] == (height + height % 2, width + width % 2) or name in COPIED
    assert np.allclose(shown.time_s - shown.time_s[0], source.time_s - source.time_s[0], atol=1e-3)
    gap = np.abs(shown.rgb[:, :height, :width].astype(float) - source.rgb).mean()
    assert gap == 0 if name in COPIED else gap < 13  # the dots of a GIF suffer most


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_a_sentence_and_never_a_shorter_clip(odd: Path, name: str) -> None:
    with pytest.raises(DataError, match=name), opened(odd / name, PLAIN):
        pass


def test_what_is_h264_already_is_copied_as_it_is(odd: Path, tmp_path: Path) -> None:
    assert [name for name in COPIED if not film.copy(odd / name, tmp_path / "out.mp4")] == []


SECRETS = (
    "secret", "Ann Ace", "48.8583", "2294", "2021", "11:12", "swe", "086f3693-b7b3-4f2c-9653",
)  # fmt: skip
FILMED_AT = 1625397133 + 2082844800
"""The 4th of July 2021, 11:12:13, in the seconds of an MP4."""


def secretive(path: Path) -> None:
    """Write a video that tells much, in every place that there is."""
    told = {
        "title": "Ann Ace beats Bo Bee 6-1", "comment": "secret-comment", "artist": "secret-artist",
        "location": "+48.8583+002.2945/", "creation_time": "2021-07-04T11:12:13.000000Z",
        "com.apple.quicktime.make": "secret-maker", "com.apple.quicktime.model": "secret-device",
        "handler_name": "secret-handler", "language": "swe",
    }  # fmt: skip
    parts = [
        media.film("mkv"),
        media.sound("mkv", "aac"),
        b"1\n00:00:00,000 --> 00:00:00,900\nsecret-words\n\n",
    ]
    options = {"movflags": "use_metadata_tags"} if path.suffix == ".mp4" else {}
    with av.open(str(path), "w", options=options) as container:
        sources = [av.open(io.BytesIO(one)) for one in parts[: 3 if path.suffix == ".mkv" else 2]]
        streams = [container.add_stream_from_template(one.streams[0]) for one in sources]
        for owner in (container, *streams):
            owner.metadata.update(told)
        chapter = {"id": 1, "start": 0, "end": 500, "time_base": Fraction(1, 1000)}
        container.set_chapters([{**chapter, "metadata": {"title": "secret-chapter"}}])
        uuid = "086f3693-b7b3-4f2c-9653-21492feee5b8"
        note = f"h264_metadata=sei_user_data={uuid}+secret-camera"
        notes = BitStreamFilterContext(note, sources[0].streams[0], streams[0])
        for source, stream in zip(sources, streams, strict=True):
            for packet in source.demux():
                if packet.size:
                    for one in notes.filter(packet) if stream is streams[0] else [packet]:
                        one.stream = stream
                        container.mux(one)


@pytest.mark.parametrize("name", ["told.mp4", "told.mkv", "told.mov"])
@pytest.mark.parametrize("show", [PLAIN, Show(background="mask")])
def test_nothing_that_was_said_or_noted_down_is_in_the_bytes(
    tmp_path: Path, name: str, show: Show
) -> None:
    video = tmp_path / name
    secretive(video)
    before = video.read_bytes()
    for secret in ("Ann Ace", "48.8583", "secret-comment", "secret-camera", "secret-chapter"):
        assert secret.encode() in before, "the test itself has nothing to hide"
    with opened(video, show, someone(24)) as clip:
        assert clip.path is not None
        shown = clip.path.read_bytes()
        with av.open(str(clip.path)) as container:
            assert [stream.type for stream in container.streams] == ["video"]
            assert not container.chapters()
            names = {"major_brand", "minor_version", "compatible_brands"}
            assert set(container.metadata) <= names
            assert set(container.streams[0].metadata) <= {"language", "handler_name", "vendor_id"}
    for secret in SECRETS:
        for coding in ("utf-8", "utf-16-le", "utf-16-be"):
            assert secret.encode(coding) not in shown
    assert FILMED_AT.to_bytes(4) not in shown
    assert name.encode() not in shown


def test_what_hides_in_units_of_private_use_is_not_copied(odd: Path, tmp_path: Path) -> None:
    hidden = b"\x1e" + b"secret-unit"  # type 30
    with av.open(str(odd / "whole.mp4")) as source, av.open(str(tmp_path / "a.mp4"), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                one = av.Packet(bytes(packet) + len(hidden).to_bytes(4) + hidden)
                one.pts, one.dts, one.time_base = packet.pts, packet.dts, packet.time_base
                one.is_keyframe, one.stream = packet.is_keyframe, stream
                target.mux(one)
    assert b"secret-unit" in (tmp_path / "a.mp4").read_bytes()
    assert film.copy(tmp_path / "a.mp4", tmp_path / "out.mp4")
    assert b"secret-unit" not in (tmp_path / "out.mp4").read_bytes()


@pytest.mark.parametrize("times", [(0.0, 0.0, 0.0), (0.0,), ()])
def test_keypoints_whose_times_stand_still_have_a_length(times: tuple[float, ...]) -> None:
    with opened(None, PLAIN, replace(someone(len(times)), time_s=np.array(times))) as clip:
        assert clip.fps == 25
        assert clip.duration_s == (0.04 if times else 0)


def test_names_are_hashes_and_the_file_is_gone_afterwards(make_video: MakeVideo) -> None:
    video = make_video("famous_player.mp4")
    with opened(video, PLAIN) as clip:
        assert clip.path is not None
        assert "famous" not in str(clip.path)
        assert clip.path.stem == video_hash(clip.path)
        assert clip.key == video_hash(video)
    assert not clip.path.parent.exists()
    assert video.exists()


@pytest.mark.parametrize("show", [PLAIN, Show(draw=("box", "landmarks", "body"), faces="blur")])
@pytest.mark.parametrize("name", ["whole.mp4", "whole.gif"])
def test_the_same_clip_is_the_same_bytes_each_time(odd: Path, name: str, show: Show) -> None:
    shown = []
    for _ in range(3):
        with opened(odd / name, show, someone(24)) as clip:
            assert clip.path is not None
            shown.append((clip.path.name, clip.path.read_bytes()))
    assert shown[0] == shown[1] == shown[2]


def test_another_way_of_showing_has_another_name(odd: Path) -> None:
    shows = [PLAIN, Show(faces="blur"), Show(background="mask"), Show(frames="one"), Show(("box",))]
    names = set()
    for show in shows:
        with opened(odd / "whole.mp4", show, someone(24)) as clip:
            assert clip.path is not None
            names.add(clip.path.name)
            assert clip.key == video_hash(odd / "whole.mp4")
    assert len(names) == len(shows)


def test_a_masked_background_is_grey_and_the_person_is_as_filmed(make_video: MakeVideo) -> None:
    video = make_video(frames=20)
    with opened(video, Show(background="mask"), someone(20)) as clip:
        shown, source = everything(clip.path), everything(video)
    assert np.abs(shown.rgb[:, :, :18].astype(int) - 128).max() < 20
    assert np.abs(shown.rgb[:, :, 54:].astype(int) - 128).max() < 20
    inside = np.s_[:, 8:40, 24:46]
    assert np.abs(shown.rgb[inside].astype(int) - source.rgb[inside]).mean() < 4
    assert np.allclose(shown.time_s, source.time_s, atol=1e-3)


def test_where_the_person_is_not_seen_nothing_is_shown_of_the_frame(make_video: MakeVideo) -> None:
    with opened(make_video(), Show(background="mask"), someone(30, seen=slice(0, 10))) as clip:
        shown = everything(clip.path)
    assert np.abs(shown.rgb[12:].astype(int) - 128).max() < 20


def test_a_blurred_face_is_a_few_patches_and_so_is_everybody_else(odd: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (12, 48, 64, 3), dtype=np.uint8)
    video = odd / "noise.mp4"
    encode(((rgb, t / 25) for t, rgb in enumerate(noise)), video)
    with opened(video, Show(faces="blur"), someone(12)) as clip:
        shown, source = everything(clip.path), everything(video)

    def kept(part: Any) -> float:
        before, after = (
            np.abs(np.diff(f.rgb[part].astype(float), axis=2)).mean() for f in (source, shown)
        )
        return after / before

    assert kept(np.s_[:, 8:16, 31:39]) < 0.35  # the face
    assert kept(np.s_[:, :, :18]) < 0.35  # whoever is outside of the box
    assert kept(np.s_[:, 26:42, 24:46]) > 0.7  # the body


def test_marks_are_drawn_into_the_whole_frame(make_video: MakeVideo) -> None:
    video = make_video(frames=12)
    with opened(video, Show(draw=("box", "body")), someone(12)) as clip:
        shown, source = everything(clip.path), everything(video)
    changed = np.abs(shown.rgb.astype(int) - source.rgb).max(axis=(0, 3)) > 60
    assert changed[4:44, 19:22].any()  # the box
    assert changed[22:27, 25:45].any()  # the shoulders
    assert not changed[:, :14].any()


def test_a_single_picture_is_the_middle_one_of_those_with_the_person_and_lasts_a_second(
    make_video: MakeVideo,
) -> None:
    video = make_video(frames=30)
    source = everything(video).rgb
    for keypoints, middle in ((None, 15), (someone(30), 15), (someone(30, seen=slice(0, 11)), 5)):
        with opened(video, Show(frames="one"), keypoints) as clip:
            shown = everything(clip.path)
            assert (len(shown), clip.duration_s) == (1, 1.0)
            assert clip.fps == 25.0
            assert np.abs(source.astype(int) - shown.rgb).mean(axis=(1, 2, 3)).argmin() == middle


@pytest.mark.parametrize(
    "show", [Show(draw=("body",)), Show(faces="blur"), Show(background="mask")]
)
def test_what_hides_or_draws_needs_keypoints_of_this_video(
    make_video: MakeVideo, show: Show
) -> None:
    video = make_video(frames=20)
    for keypoints, says in (
        (None, "needs the person's keypoints, and there are none"),
        (someone(19), "does not have the 19 frames"),
        (someone(21), "does not have the 21 frames"),
        (someone(20, seen=slice(0)), "find the person in no frame"),
    ):
        with pytest.raises(DataError, match=says), opened(video, show, keypoints):
            pass


@pytest.mark.parametrize("name", ["whole.mp4", "rate_varies.mp4", "whole.gif", "b_frames.mp4"])
@pytest.mark.parametrize("count", [1, 2, 5, 64])
def test_frames_are_spread_evenly_in_order_and_with_their_times(
    odd: Path, name: str, count: int
) -> None:
    with opened(odd / name, PLAIN) as clip:
        found, shown = clip.frames(count), everything(clip.path)
    assert len(found) == min(count, len(shown)) or name == "rate_varies.mp4"
    assert np.array_equal(found.rgb, shown.rgb[found.index])
    assert np.allclose(found.time_s, shown.time_s[found.index])
    assert (np.diff(found.index) > 0).all()
    if count > 1:
        assert (found.index[0], found.index[-1]) == (0, len(shown) - 1)
        step = (shown.time_s[-1] - shown.time_s[0]) / (min(count, len(shown)) - 1)
        assert np.abs(np.diff(found.time_s) - step).max() <= np.diff(shown.time_s).max()


def test_frames_are_found_behind_far_and_open_key_frames(odd: Path) -> None:
    x264 = {"preset": "medium", "x264-params": "open-gop=1:keyint=24:scenecut=0:bframes=3"}
    for name, options in (("open.mp4", x264), ("far.mp4", {"preset": "medium", "g": "250"})):
        (odd / name).write_bytes(media.film(frames=150, codec_options=options))
        with opened(odd / name, PLAIN) as clip, ThreadPoolExecutor(3) as threads:
            shown = everything(clip.path)
            for found in threads.map(clip.frames, (3, 7, 40)):
                assert np.array_equal(found.rgb, shown.rgb[found.index])


def test_memory_does_not_grow_with_the_length_of_the_video(make_video: MakeVideo) -> None:
    video = make_video(frames=500, size=(320, 240))  # 115 MB of pictures
    tracemalloc.start()
    with opened(video, Show(background="mask"), someone(500)) as clip:
        clip.frames(8)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20 * 2**20


def test_keypoints_alone_make_a_clip_that_nobody_can_look_at() -> None:
    with opened(None, PLAIN, someone(50)) as clip:
        assert (clip.path, clip.size, clip.fps) == (None, (0, 0), pytest.approx(25))
        assert clip.duration_s == pytest.approx(2.0)
        with pytest.raises(DataError, match="without its pictures"):
            clip.frames(3)


def test_a_labeler_that_looks_at_nothing_has_nothing_written(make_video: MakeVideo) -> None:
    video = make_video(frames=20)
    for keypoints in (someone(20), None):
        with opened(video, Show(faces="blur"), keypoints, pictures=False) as clip:
            assert (clip.path, clip.key) == (None, video_hash(video))
            assert clip.duration_s == pytest.approx(0.8, abs=0.01)


def test_a_full_disk_is_a_sentence() -> None:
    def pictures() -> Iterator[tuple[np.ndarray, float]]:
        for t in range(80):
            yield np.random.default_rng(t).integers(0, 255, (96, 96, 3), dtype=np.uint8), t / 25

    with pytest.raises(DataError, match="make room, or set TMPDIR"):
        encode(pictures(), Path("/dev/full"))


def test_the_real_clips_are_shown_whole(shared: Path) -> None:
    for video in sorted((shared / "media").glob("*.gif")):
        with opened(video, PLAIN) as clip:
            assert clip.path is not None
            assert clip.duration_s == pytest.approx(probe(video).duration_s, abs=0.2)
            assert len(clip.frames(16)) == 16
