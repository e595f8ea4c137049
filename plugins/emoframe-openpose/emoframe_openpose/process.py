"""Finding the user's OpenPose and running it on a folder of pictures.

Decided here: what fails is tried once more on a plain black picture. If that fails too, OpenPose
does not work here and no video will fare better, so that everything stops; otherwise it is these
frames. OpenPose may sit behind a script, so that it gets a process group of its own, which is ended
whole, also when this process is killed (`guard`). It looks for its models below the current folder;
they are named to it instead.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from emoframe import ComponentError, DataError, file_hash
from emoframe_openpose.guard import Guard

NAMES = ("openpose.bin", "openpose")
BUILT = ("build/examples/openpose", "bin", ".")
"""Where a build, or a portable copy, has its program, below its root."""

MODELS = (
    "pose/body_25/pose_deploy.prototxt",
    "pose/body_25/pose_iter_584000.caffemodel",
    "face/pose_deploy.prototxt",
    "face/pose_iter_116000.caffemodel",
    "hand/pose_deploy.prototxt",
    "hand/pose_iter_102000.caffemodel",
)
"""What each of the three models is made of, below the folder of models: its graph, its weights."""

CAUSE = re.compile(r"Check failed: .+|Error:\s*\n\s*.+")
"""The line that says why, in what OpenPose and its library print around a failure."""


@dataclass(frozen=True)
class Program:
    """An OpenPose that is installed here.

    Attributes:
        path: The program.
        models: Folder of its models; None where OpenPose is to find them itself.
        flags: What it is called with beside the folders.
        timeout_s: Most seconds that one call may take.
    """

    path: Path
    models: Path | None
    flags: tuple[str, ...]
    timeout_s: float

    def measure(self, guard: Guard, pictures: Path, results: Path) -> None:
        """Let OpenPose write one JSON file per picture.

        Args:
            guard: Ends it when this process is killed.
            pictures: Folder of the pictures, `<stem>.png`.
            results: Folder for the results, `<stem>_keypoints.json`.

        Raises:
            ComponentError: OpenPose fails on any picture.
            DataError: It fails on these.
        """
        if not (why := self._try(guard, pictures, results)):
            return
        with tempfile.TemporaryDirectory(dir=guard.folder) as folder:
            Image.new("RGB", (64, 64)).save(Path(folder) / "black.png")
            even_so = self._try(guard, Path(folder), Path(folder) / "json")
        if even_so:
            raise ComponentError(
                f"pose_estimator openpose: {self.path} {even_so}, even on a plain black picture; "
                "run it by hand with --image_dir FOLDER --write_json FOLDER until it works there"
            )
        raise DataError(
            f"pose_estimator openpose: {self.path} {why}; a plain black picture it does measure: "
            "look at these frames, and at the memory that they take (a lower net_resolution)"
        )

    def _try(self, guard: Guard, pictures: Path, results: Path) -> str:
        """Run OpenPose once and say what went wrong, or nothing."""
        models = [] if self.models is None else [f"--model_folder={self.models}{os.sep}"]
        folders = [f"--image_dir={pictures}", f"--write_json={results}"]
        log = results.with_name("log.txt")
        results.mkdir()
        command = [str(self.path), *folders, *models, *self.flags]
        code = _run(guard, command, log, self.timeout_s)
        if code is None:
            return f"took more than {self.timeout_s:g} s and was ended (timeout_s)"
        cause = _cause(log)
        if code:
            ended = f"exit code {code}" if code > 0 else signal.Signals(-code).name
            return f"ended with {ended}: {cause}"
        stems = [picture.stem for picture in pictures.glob("*.png")]
        written = sum((results / f"{stem}_keypoints.json").is_file() for stem in stems)
        if written == len(stems):
            return ""
        return f"wrote {written} results for {len(stems)} pictures; the last it said: {cause}"


def _run(guard: Guard, command: list[str], log: Path, timeout_s: float) -> int | None:
    """Run a command and return its exit code; None where it took too long."""
    with log.open("wb") as said:
        try:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=said, stderr=said, start_new_session=True
            )
        except OSError as error:
            raise ComponentError(
                f"pose_estimator openpose: {command[0]} cannot be run: {error.strerror}"
            ) from error
        try:
            guard.watch(process.pid)
            return process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None
        finally:  # also when the user interrupts, and for what a script left behind
            _end(process)
            guard.watch(0)


def _end(process: subprocess.Popen[bytes]) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return  # all of it is over
    process.wait()


def _cause(log: Path) -> str:
    """Return the line that says why, else the last one."""
    text = log.read_text(encoding="utf-8", errors="replace").strip()
    named = CAUSE.search(text)
    line = (named[0] if named else text).splitlines()[-1:]
    return line[0].strip() if line else "it said nothing"


def find_program(given: Path | None) -> Path:
    """Find OpenPose: where it was said to be, in `OPENPOSE_HOME`, or on `PATH`.

    Raises:
        ComponentError: It is not there.
    """
    if given is not None:
        path = given.expanduser()
        if path.is_file() and os.access(path, os.X_OK):
            return path.resolve()
        what = "is no program that may be run" if path.exists() else "does not exist"
        raise ComponentError(f"pose_estimator openpose: binary={str(given)!r} {what}; {_cure()}")
    home = os.environ.get("OPENPOSE_HOME")
    homes = os.pathsep.join(str(Path(home).expanduser() / part) for part in BUILT) if home else ""
    for places in filter(None, (homes, os.environ.get("PATH", ""))):
        for name in NAMES:
            if found := shutil.which(name, path=places):
                return Path(found).resolve()
    also = f"nor in OPENPOSE_HOME={home}" if home else "OPENPOSE_HOME is not set"
    raise ComponentError(
        f"pose_estimator openpose: no {' or '.join(NAMES)} was found on PATH ({also}); {_cure()}"
    )


def _cure() -> str:
    return (
        "install OpenPose (github.com/CMU-Perceptual-Computing-Lab/openpose, free for "
        "non-commercial research) and give binary=PATH of its openpose.bin, or take "
        "pose_estimator openpose_json for results that were computed elsewhere"
    )


def find_models(given: Path | None, program: Path) -> Path | None:
    """Find the models: where they were said to be, else in the nearest `models` above the program.

    Returns:
        Their folder; None where there is none above the program, as that may be a script for an
        OpenPose that finds them itself.

    Raises:
        ComponentError: The given folder is not there, or the models for body, face and hands are
            not all in it.
    """
    if given is not None:
        folder = given.expanduser()
        if not folder.is_dir():
            raise ComponentError(
                f"pose_estimator openpose: there is no folder model_folder={str(given)!r}; give "
                "the folder `models` of OpenPose, which its getModels script fills"
            )
    else:
        above = (parent / "models" for parent in program.parents)
        folder = next((folder for folder in above if (folder / "pose").is_dir()), None)
    if folder is None:
        return None
    if lacking := [name for name in MODELS if not (folder / name).is_file()]:
        raise ComponentError(
            f"pose_estimator openpose: the models in {folder} are not complete, it lacks "
            f"{', '.join(lacking)}; run the getModels script of OpenPose there, with face and hands"
        )
    return folder.resolve()


def hashes(program: Program) -> dict[str, str]:
    """Return the sha256 of the program, and of its models by their path in their folder."""
    files = {program.path.name: program.path}
    if program.models is not None:
        files |= {name: program.models / name for name in MODELS}
    return {name: file_hash(file) for name, file in files.items()}
