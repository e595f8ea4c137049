"""What `emoframe extract` gains over the obvious script, with the same parts, in one run.

    python benchmarks/extract.py                       # frames a second, use of the cores, memory
    python benchmarks/extract.py --memory 1 20         # peak memory of a short and a long video

Both sides find the person with YOLO, measure keypoints with MediaPipe, and encode every sixth
picture with DINOv2 (the real class, small, with random weights: speed does not depend on them). The
script is the loop that everybody writes: decode a frame with OpenCV, `predict`, cut out, `process`,
image processor, model. Each side runs in processes of its own; CPU time and memory are summed over
them. The last line says how near emoframe comes to what the cores could do if nothing but the parts
cost time: cores / (CPU seconds per frame, summed over the parts, each measured by itself).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from processes import Measured, measure, ready
from rich.console import Console
from rich.table import Table

from emoframe.demo import fetch
from emoframe.perception import video as video_file
from emoframe.perception.pipeline import How, extract
from emoframe.perception.settings import Perception
from emoframe.perception.stages import build_parts
from emoframe.records import Frames, Track

EVERY, SIZE = 6, 224


def perception(store: Path, yolo: Path, dinov2: Path) -> Perception:
    """Return the settings of both sides."""
    return Perception(
        store=store,
        detector={"type": "yolo", "weights": str(yolo), "imgsz": 320},
        pose_estimator={"type": "mediapipe"},
        frame_encoders={
            "dinov2": {"type": "dinov2", "weights": str(dinov2), "size": SIZE, "every": EVERY}
        },
    )


def small_dinov2(folder: Path) -> Path:
    """Save a DINOv2-Small with random weights, and its image processor."""
    from transformers import BitImageProcessor, Dinov2Config, Dinov2Model

    config = Dinov2Config(hidden_size=384, num_attention_heads=6, image_size=SIZE)
    Dinov2Model(config).save_pretrained(folder)
    BitImageProcessor(size={"height": SIZE, "width": SIZE}, do_center_crop=False).save_pretrained(
        folder
    )
    return folder


def looped(source: Path, out: Path, frames: int, rate: int) -> Path:
    """Write a video that shows another one over and over."""
    with av.open(str(out), "w") as container:
        stream = container.add_stream("libx264", rate=rate, options={"preset": "ultrafast"})
        count = 0
        while count < frames:
            for chunk in video_file.read(source):
                for rgb in chunk.rgb[: frames - count]:
                    height, width = (side // 2 * 2 for side in rgb.shape[:2])
                    if not stream.codec_context.is_open:
                        stream.width, stream.height = width, height
                    picture = np.ascontiguousarray(rgb[:height, :width])
                    container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
                count += min(len(chunk), frames - count)
        container.mux(stream.encode(None))
    return out


def script(videos: list[Path], settings: Perception) -> int:
    """Do what everybody's script does, frame by frame."""
    import mediapipe
    import torch
    from transformers import AutoImageProcessor, AutoModel
    from ultralytics import YOLO

    weights = settings.frame_encoders["dinov2"]["weights"]
    yolo = YOLO(settings.detector["weights"], task="detect")
    processor, model = (
        AutoImageProcessor.from_pretrained(weights),
        AutoModel.from_pretrained(weights),
    )
    yolo.predict(np.zeros((64, 64, 3), np.uint8), imgsz=320, verbose=False)
    ready()
    count = 0
    for path in videos:
        keypoints, features = [], []
        capture = cv2.VideoCapture(str(path))
        with mediapipe.solutions.holistic.Holistic() as holistic, torch.inference_mode():
            index = 0
            while (read := capture.read())[0]:
                found = yolo.predict(read[1], classes=[0], imgsz=320, verbose=False)[0].boxes
                if len(found):
                    left, top, right, bottom = map(int, found.xyxy[0])
                    crop = cv2.cvtColor(read[1][top:bottom, left:right], cv2.COLOR_BGR2RGB)
                    keypoints.append(holistic.process(np.ascontiguousarray(crop)))
                    if index % EVERY == 0:
                        inputs = processor(crop, return_tensors="pt")
                        features.append(model(**inputs).pooler_output)
                index += 1
        count += index
    return count


def emoframe(videos: list[Path], settings: Perception) -> int:
    """Do the same with emoframe."""
    begun = threading.Event()

    def first(_: Any) -> None:
        if not begun.is_set():
            begun.set()
            ready()

    rows = extract(videos, settings, How(), on_progress=first)
    failed = [row for row in rows if row.status == "failed"]
    assert not failed, failed[0].reason
    return sum(row.frames for row in rows if row.stage == "mediapipe")


def run_side(side: str, videos: list[Path], settings: Perception) -> Measured:
    """Run one side in a process of its own."""
    node = json.dumps([str(settings.store), settings.detector["weights"],
                       settings.frame_encoders["dinov2"]["weights"]])  # fmt: skip
    return measure([__file__, "--side", side, node, *map(str, videos)])


def cost(video: Path, settings: Perception) -> dict[str, float]:
    """Return CPU seconds per frame of each part by itself, on one thread."""
    from threadpoolctl import threadpool_limits

    from emoframe.perception.encode import encode

    parts = build_parts(settings)
    chunks = list(video_file.read(video, chunk=16))
    frames = sum(map(len, chunks))
    clock: dict[str, float] = {}

    def timed(name: str, work: Any) -> Any:
        started = time.process_time()
        result = work()
        clock[name] = (time.process_time() - started) / frames
        return result

    assert parts.pose_estimator is not None
    detect = parts.detector.part.detect
    pose, (encoder,) = parts.pose_estimator.part, parts.frame_encoders
    detect(_few(chunks[0]))
    track = _whole(chunks)
    with threadpool_limits(1):
        timed("decode", lambda: [None for _ in video_file.read(video, chunk=16)])
        timed("detect", lambda: [detect(chunk) for chunk in chunks])
        list(pose.estimate([chunks[0]], track))
        timed("pose", lambda: list(pose.estimate(chunks, track)))
        list(encode(encoder.part, chunks[:1], _whole(chunks[:1])))
        timed("encode", lambda: list(encode(encoder.part, chunks, track)))
    return clock


def _few(frames: Frames) -> Frames:
    return Frames(frames.rgb[:2], frames.time_s[:2], frames.index[:2])


def _whole(chunks: list[Frames]) -> Track:
    time_s = np.concatenate([chunk.time_s for chunk in chunks])
    height, width = chunks[0].rgb.shape[1:3]
    box = np.tile(np.array([0, 0, width, height], np.float32), (len(time_s), 1))
    return Track(box, np.zeros(len(time_s), np.bool_), time_s, "all of it")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    shared = Path(os.environ.get("EMOFRAME_SHARED", Path(__file__).parents[2] / "shared"))
    parser.add_argument("--yolo", type=Path, default=shared / "models" / "yolo11n_int8.onnx")
    parser.add_argument("--videos", type=int, default=4)
    parser.add_argument("--frames", type=int, default=1000)
    parser.add_argument("--memory", type=float, nargs=2, metavar="MINUTES")
    parser.add_argument("--side", nargs="+", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.side:
        name, node, *videos = given.side
        run = {"script": script, "emoframe": emoframe}[name]
        store, yolo, dinov2 = map(Path, json.loads(node))
        sys.stdout.write(f"{run([Path(v) for v in videos], perception(store, yolo, dinov2))}\n")
        return
    if not given.yolo.is_file():
        raise SystemExit(f"{given.yolo} is not here; name YOLO weights with --yolo")
    with tempfile.TemporaryDirectory() as folder:
        compare(Path(folder), given)


def compare(folder: Path, given: argparse.Namespace) -> None:
    """Measure both sides, or the memory of two lengths, and print a table."""
    source, dinov2 = fetch(folder), small_dinov2(folder / "dinov2")
    console = Console()
    if given.memory:
        peaks = []
        for minutes in given.memory:
            video = looped(source, folder / f"{minutes}.mp4", int(minutes * 300), 5)
            settings = perception(folder / f"store-{minutes}", given.yolo, dinov2)
            found = run_side("emoframe", [video], settings)
            peaks.append(found.peak)
            console.print(
                f"{minutes:g} min, {found.frames} frames: peak {found.peak / 2**20:.0f} MiB"
            )
        console.print(f"peak memory, long over short: {peaks[1] / peaks[0]:.3f}")
        return
    videos = [
        looped(source, folder / f"{n}.mp4", given.frames + n, 25) for n in range(given.videos)
    ]
    settings = perception(folder / "store", given.yolo, dinov2)
    sides = {name: run_side(name, videos, settings) for name in ("script", "emoframe")}
    clock = cost(videos[0], settings)
    cores = len(os.sched_getaffinity(0))
    table = Table("", "frames", "seconds", "frames/s", "cores busy", "peak MiB")
    for name, found in sides.items():
        numbers = (found.seconds, found.rate, found.cores)
        table.add_row(name, str(found.frames), *(f"{n:.1f}" for n in numbers),
                      f"{found.peak / 2**20:.0f}")  # fmt: skip
    console.print(table)
    told = ", ".join(f"{name} {1000 * seconds:.1f}" for name, seconds in clock.items())
    console.print(f"CPU milliseconds per frame, each part by itself: {told}")
    one, other = sides["emoframe"], sides["script"]
    console.print(f"frames/s, emoframe over script: {one.rate / other.rate:.2f}")
    console.print(f"peak memory, emoframe over script: {one.peak / other.peak:.2f}")
    console.print(
        f"frames/s over what {cores} cores could do: {one.rate * sum(clock.values()) / cores:.2f}"
    )


if __name__ == "__main__":
    main()
