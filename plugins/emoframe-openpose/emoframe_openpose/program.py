"""The pose estimator `openpose`: runs the user's own OpenPose on one person's crops.

Decided here: OpenPose is shown the crop and nothing else (W2S-12), so that nobody else can enter
beside one who stands in front. Crops are written losslessly into a temporary folder, chunk by
chunk, so that a long video needs no more room than a short one; each chunk is one call.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
from annotated_types import Ge, Gt
from PIL import Image

from emoframe import ComponentError, DataError, read_openpose_people
from emoframe.skeleton import OPENPOSE_137
from emoframe_openpose.guard import Guard
from emoframe_openpose.people import as_keypoints, tracked
from emoframe_openpose.process import Program, find_models, find_program, hashes

if TYPE_CHECKING:
    from emoframe.records import Frames, Keypoints, Track

Side = Annotated[int, Ge(-1)]
Size = tuple[Side, Side]

FIXED = (
    "--face", "--hand", "--number_people_max=1", "--model_pose=BODY_25", "--keypoint_scale=0",
    "--display=0", "--render_pose=0",
)  # fmt: skip


class OpenPose:
    """Runs the OpenPose that is installed here; nothing of it is downloaded.

    Source: https://arxiv.org/abs/1812.08008; specification 3.1. OpenPose is free for academic or
    non-profit, non-commercial research only.

    Args:
        binary: OpenPose's program; null to look in `$OPENPOSE_HOME` and on `PATH`.
        model_folder: Its folder `models`; null for the nearest one above the program.
        net_resolution: Width and height in pixels that the crop is scaled to for the body, both
            multiples of 16; -1 follows from the crop's shape.
        face_net_resolution: The same for the face; both equal.
        hand_net_resolution: The same for a hand; both equal.
        scale_number: Number of scales averaged for the body.
        scale_gap: Gap between those scales.
        hand_scale_number: Number of scales averaged for the hands; 6 is OpenPose's best.
        hand_scale_range: Range of those scales about 1.
        timeout_s: Most seconds for one chunk of frames (at most 64); OpenPose is ended then.
        device: `cuda:N` runs it on that GPU alone; otherwise it decides itself, since a build of
            OpenPose is either for CPU or for GPU.
    """

    not_in_key = ("binary", "model_folder", "timeout_s")

    layout = OPENPOSE_137.name

    def __init__(
        self,
        *,
        binary: Path | None = None,
        model_folder: Path | None = None,
        net_resolution: Size = (-1, 368),
        face_net_resolution: Size = (368, 368),
        hand_net_resolution: Size = (368, 368),
        scale_number: Annotated[int, Ge(1)] = 1,
        scale_gap: Annotated[float, Gt(0)] = 0.25,
        hand_scale_number: Annotated[int, Ge(1)] = 1,
        hand_scale_range: Annotated[float, Gt(0)] = 0.4,
        timeout_s: Annotated[float, Gt(0)] = 1800.0,
        device: str = "cpu",
    ) -> None:
        self.binary, self.model_folder = binary, model_folder
        self.timeout_s = timeout_s
        values = {
            "net_resolution": "{}x{}".format(*net_resolution),
            "face_net_resolution": "{}x{}".format(*face_net_resolution),
            "hand_net_resolution": "{}x{}".format(*hand_net_resolution),
            "scale_number": scale_number,
            "scale_gap": scale_gap,
            "hand_scale_number": hand_scale_number,
            "hand_scale_range": hand_scale_range,
        }
        if device.startswith("cuda"):
            values |= {"num_gpu": 1, "num_gpu_start": int(device.partition(":")[2] or 0)}
        self.flags = (*FIXED, *(f"--{name}={value}" for name, value in values.items()))

    def estimate(self, chunks: Iterable[Frames], track: Track) -> Iterator[Keypoints]:
        """Yield one `Keypoints` per chunk, in source pixels.

        Args:
            chunks: The frames of one video, in order.
            track: The person in it; a frame without a box is all masked.

        Raises:
            ComponentError: OpenPose or one of its models is not here, or it fails on any picture.
            DataError: It fails on these frames, hangs, or writes what cannot be read.
        """
        program = self._program()
        with Guard() as guard:
            for chunk in chunks:
                yield self._measure(program, guard, track, chunk)

    def fingerprint(self) -> dict[str, str]:
        """Return the sha256 of the program, and of all files of its models where they are found.

        Raises:
            ComponentError: OpenPose is not here, or its models are not complete.
        """
        return hashes(self._program())

    def _program(self) -> Program:
        path = find_program(self.binary)
        return Program(path, find_models(self.model_folder, path), self.flags, self.timeout_s)

    def _measure(self, program: Program, guard: Guard, track: Track, chunk: Frames) -> Keypoints:
        points = np.zeros((len(chunk), OPENPOSE_137.num_joints, 3), np.float32)
        seen = np.zeros((len(chunk), 4), np.int64)
        present = np.flatnonzero(track.valid[chunk.index]).tolist()
        if not present:
            return as_keypoints(points, seen, chunk, track)
        with tempfile.TemporaryDirectory(dir=guard.folder) as folder:
            pictures, results = Path(folder, "pictures"), Path(folder, "json")
            pictures.mkdir()
            for n in present:
                seen[n] = _write_crop(chunk, n, track, pictures)
            program.measure(guard, pictures, results)
            for n in present:
                t = chunk.index[n]
                try:
                    people = read_openpose_people(results / f"{t:012d}_keypoints.json")
                except DataError as error:
                    raise DataError(
                        f"pose_estimator openpose: the result of {program.path} for frame {t} "
                        f"cannot be used: {error}"
                    ) from error
                people[..., :2] += seen[n, :2]
                points[n] = tracked(people, track.box[t])
        return as_keypoints(points, seen, chunk, track)


def _write_crop(chunk: Frames, n: int, track: Track, folder: Path) -> tuple[int, int, int, int]:
    """Write the person of one frame as `<frame number>.png` and return where they were cut out."""
    t = int(chunk.index[n])
    crop, (x, y) = track.crop(chunk.rgb[n], t)
    try:
        Image.fromarray(crop).save(folder / f"{t:012d}.png", compress_level=1)
    except OSError as error:
        raise ComponentError(
            f"pose_estimator openpose: crops cannot be written to {folder} ({error}); "
            "make room there, or set TMPDIR to another folder"
        ) from error
    return x, y, x + crop.shape[1], y + crop.shape[0]
