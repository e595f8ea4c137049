"""Silence for the notices that MediaPipe's C++ writes to stderr each time a graph starts.

No setting turns them off. What is written while the graph starts is held back, and all but the
notices known to be harmless is passed on afterwards: a warning that nobody knows yet is not lost.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

HARMLESS = re.compile(
    rb"All log messages before absl::InitializeLog|Created TensorFlow Lite XNNPACK delegate"
    rb"|Logging before InitGoogle|Feedback manager requires a model with a single signature"
    rb"|Using NORM_RECT without IMAGE_DIMENSIONS"
)
"""The last is about turned regions of a picture that is not square; on real faces the points of a
picture and of the same padded to a square differed by 0.0 to 0.2 pixels."""

STDERR = 2


@contextmanager
def without_notices() -> Iterator[None]:
    """Hold back what is written to stderr, and then pass on all but the harmless notices."""
    sys.stderr.flush()
    with tempfile.TemporaryFile() as held:
        real = os.dup(STDERR)
        os.dup2(held.fileno(), STDERR)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(real, STDERR)
            os.close(real)
            held.seek(0)
            for line in held:
                if not HARMLESS.search(line):
                    os.write(STDERR, line)
