"""For tests: a labeler that follows a script, clips without a file, a server that counts."""

from __future__ import annotations

import hashlib
import json
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np

from emoframe.core.errors import DataError
from emoframe.labelling import CallError, Clip, Question, Reply, Usage
from emoframe.records import Frames
from emoframe.weak_labels.asking.ask import Asked
from emoframe.weak_labels.asking.labelers import LabelerRecord
from emoframe.weak_labels.prompt import build_prompt
from emoframe.weak_labels.settings import WeakLabels

PROMPT = build_prompt(WeakLabels(prompt="simple"), ("lose", "win"))
RECORD = LabelerRecord("ab" * 32, {"type": "scripted"}, {"emoframe": "0"}, "gpt-4o", True, False)
REAL, MOST = Usage(1000, 100), Usage(10_000, 1000)
COST = 0.0035
"""Of `REAL` at the list price of the record's model; `MOST` costs ten times as much."""
Script = Callable[[Question, int], Reply]


def said(win: float = 0.8, classes: Sequence[str] = ("lose", "win")) -> Reply:
    """A reply as it should be."""
    stated = [{"class": classes[0], "confidence": 0.3}, {"class": classes[1], "confidence": win}]
    empty = {"units": [], "evidence": [], "corrections": [], "note": ""}
    data = {**empty, "confidences": stated, "abstain": False}
    return Reply(json.dumps(data), usage=REAL, model="gpt-4o-2024")


class Scripted:
    """Answers as its script says, and remembers who asked what and when."""

    uploads, simulated, reads_keypoints, reads_video = True, False, False, True
    model = "gpt-4o"

    def __init__(
        self, script: Script = lambda question, attempt: said(), seconds: float = 0.0
    ) -> None:
        self.script, self.seconds = script, seconds
        self.asked: list[tuple[str, int]] = []
        self.at: list[float] = []
        self.most = self.now = self.closed = 0
        self.released: list[str] = []
        self._lock = threading.Lock()

    def ask(self, question: Question) -> Reply:
        key = (question.clip.key, question.sample)
        with self._lock:
            self.asked.append(key)
            self.at.append(time.monotonic())
            attempt = self.asked.count(key)
            self.now += 1
            self.most = max(self.most, self.now)
        try:
            time.sleep(self.seconds)
            return self.script(question, attempt)
        finally:
            with self._lock:
                self.now -= 1

    def tokens(self, question: Question) -> Usage:
        return MOST

    def release(self, clip: Clip) -> None:
        self.released.append(clip.key)

    def close(self) -> None:
        self.closed += 1


class Clips:
    """Makes clips without a file, and counts how many are open."""

    def __init__(self, broken: Sequence[int] = (), film: Path | None = None) -> None:
        self.broken, self.film, self.now, self.most = broken, film, 0, 0
        self.opened: Counter[str] = Counter()
        self._lock = threading.Lock()

    def asked(self, count: int, samples: int = 1) -> list[Asked]:
        return [self._one(n, tuple(range(samples))) for n in range(count)]

    def _one(self, n: int, samples: tuple[int, ...]) -> Asked:
        key = hashlib.sha256(f"clip {n}".encode()).hexdigest()

        @contextmanager
        def opened() -> Iterator[Clip]:
            if n in self.broken:
                raise DataError(f"clip-{n}.mp4: is truncated or damaged")
            with self._lock:
                self.opened[key] += 1
                self.now += 1
                self.most = max(self.most, self.now)
            try:
                yield Clip(key, self.film, 10.0, 25.0, (64, 48), no_frames)
            finally:
                with self._lock:
                    self.now -= 1

        return Asked(f"item-{n}", key, samples, opened, opened)


def no_frames(count: int) -> Frames:
    return Frames(np.zeros((0, 2, 2, 3), np.uint8), np.zeros(0), np.zeros(0, np.int64))


def share(*what: object) -> float:
    """A number in [0, 1) that follows from what is given."""
    return int(hashlib.sha256(repr(what).encode()).hexdigest()[:8], 16) / 16**8


class Remote(Scripted):
    """Asks a server on this machine."""

    def __init__(self, url: str, seconds: float = 0.0) -> None:
        super().__init__(self._post)
        self.url, self.delay_s = url, seconds

    def _post(self, question: Question, attempt: int) -> Reply:
        about = {"clip": question.clip.key, "sample": question.sample, "seconds": self.delay_s}
        about["classes"] = question.prompt.classes
        request = urllib.request.Request(self.url, json.dumps(about).encode())
        try:
            with urllib.request.urlopen(request, timeout=20) as response:
                return Reply(response.read().decode(), usage=REAL, model=self.model)
        except urllib.error.HTTPError as error:
            raise CallError(f"the server said {error.code}", retry=True) from error


@contextmanager
def server(fails: float = 0.0) -> Iterator[tuple[str, Counter[tuple[str, int]]]]:
    """Run a server that answers each question the same way whenever it is asked.

    Args:
        fails: Share of first requests that are turned down with 503.

    Yields:
        Its address, and how often it answered each question.
    """
    answered: Counter[tuple[str, int]] = Counter()
    seen: Counter[tuple[str, int]] = Counter()
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            key = (body["clip"], body["sample"])
            with lock:
                seen[key] += 1
                fine = seen[key] > 1 or share("fails", key) >= fails
                answered[key] += fine
            time.sleep(body["seconds"])
            text = said(round(0.4 + share(key) / 2, 3), body["classes"]).text if fine else ""
            self.send_response(200 if fine else 503)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    thread = threading.Thread(target=http.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{http.server_port}", answered
    finally:
        http.shutdown()
        http.server_close()
