"""Stands in for OpenPose, which cannot be had here: its flags, its files, its ways to fail.

It sees coloured pixels as joints: red the nose, green the neck, blue the chin, white a finger.
`FAKE_OPENPOSE` says how it misbehaves.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

from PIL import Image

JOINTS = {
    (255, 0, 0): ("pose_keypoints_2d", 0),
    (0, 255, 0): ("pose_keypoints_2d", 1),
    (0, 0, 255): ("face_keypoints_2d", 8),
    (255, 255, 255): ("hand_left_keypoints_2d", 4),
}
COUNTS = {
    "pose_keypoints_2d": 25, "face_keypoints_2d": 70,
    "hand_left_keypoints_2d": 21, "hand_right_keypoints_2d": 21,
}  # fmt: skip


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    for flag in ("--face", "--hand"):
        parser.add_argument(flag, action="store_true")
    for flag in ("--image_dir", "--write_json"):
        parser.add_argument(flag, type=Path, required=True)
    for flag in ("--number_people_max", "--display", "--render_pose", "--keypoint_scale"):
        parser.add_argument(flag, type=int, required=True)
    for flag in ("--num_gpu", "--num_gpu_start", "--scale_number", "--hand_scale_number"):
        parser.add_argument(flag, type=int)
    for flag in ("--scale_gap", "--hand_scale_range"):
        parser.add_argument(flag, type=float)
    for flag in ("", "face_", "hand_"):
        parser.add_argument(f"--{flag}net_resolution")
    parser.add_argument("--model_folder")
    parser.add_argument("--model_pose", choices=["BODY_25"])
    return parser.parse_args()


def people(image: Image.Image, args: argparse.Namespace) -> list[dict[str, list[float]]]:
    on = {"pose": True, "face": args.face, "hand": args.hand}
    person = {
        name: [0.0] * 3 * count if on[name.split("_")[0]] else [] for name, count in COUNTS.items()
    }
    found = False
    pixels = image.load()
    for x in range(image.width):
        for y in range(image.height):
            if pixels[x, y] in JOINTS:
                block, joint = JOINTS[pixels[x, y]]
                person[block][3 * joint : 3 * joint + 3] = [x, y, 0.75]
                found = True
    three = {name.replace("2d", "3d"): [] for name in COUNTS}
    return [{"person_id": [-1], **person, **three}] if found else []


def main() -> int:
    args = parse()
    mode = os.environ.get("FAKE_OPENPOSE", "")
    pictures = sorted(args.image_dir.glob("*.png"))
    small = all(Image.open(picture).size == (64, 64) for picture in pictures)
    if mode == "fail" or (mode == "fail on frames" and not small):
        sys.stdout.write("Starting OpenPose demo...\n")
        sys.stderr.write("\nError:\nCuda check failed (2 vs. 0): out of memory\n\nComing from:\n")
        sys.stderr.write("- src/openpose/gpu/cuda.cpp:cudaCheck():42\n")
        return 255
    if mode == "hang":
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        Path(os.environ["FAKE_CHILD"]).write_text(str(child.pid))
        time.sleep(60)
    if mode == "die":
        os.abort()
    args.write_json.mkdir(exist_ok=True)
    for picture in [] if mode == "silent" else pictures:
        with Image.open(picture) as image:
            text = json.dumps({"version": 1.3, "people": people(image.convert("RGB"), args)})
        file = args.write_json / f"{picture.stem}_keypoints.json"
        file.write_text(text[:20] if mode == "truncate" else text)
        if mode == "first only":
            break
    if calls := os.environ.get("FAKE_CALLS"):
        with Path(calls).open("a") as opened:
            opened.write(json.dumps([sys.argv[1:], [picture.stem for picture in pictures]]) + "\n")
    sys.stdout.write("OpenPose demo successfully finished.\n")
    return 0


sys.exit(main())
