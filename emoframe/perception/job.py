"""What a worker needs to know to begin, in a form that travels to another process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from emoframe.core.errors import ComponentError, EmoframeError
from emoframe.core.plugins import loaded
from emoframe.perception.events import Event
from emoframe.perception.settings import Perception
from emoframe.perception.stages import Parts, build_parts, stage_keys
from emoframe.perception.store import Store, StoreError
from emoframe.perception.work import VideoWork

Note = Callable[[Event], None]
"""Takes what is told; what it raises ends the extraction."""
FATAL = (StoreError, ComponentError, EmoframeError)
"""What no video could survive, from the special to the general."""


@dataclass(frozen=True)
class Job:
    """What a worker needs to know to begin.

    Attributes:
        perception: Section of the config.
        devices: Where the parts compute: the workers take turns.
        retry_failed: Whether failures that the store remembers are tried again.
        plugins: Plugin files to load, as `--plugin` does.
        threads: CPU threads that one worker may use; None leaves it to the libraries.
    """

    perception: Perception
    devices: tuple[str, ...] = ("cpu",)
    retry_failed: bool = False
    plugins: tuple[Path, ...] = ()
    threads: int | None = None

    def start(self, note: Note, number: int = 0, parts: Parts | None = None) -> VideoWork:
        """Build the parts of a worker.

        Args:
            note: Takes what the work tells.
            number: Which worker it is.
            parts: Parts that are built already.

        Raises:
            EmoframeError: A part cannot be built.
        """
        known = [plugin.distribution for plugin in loaded().plugins]
        for file in self.plugins:
            if str(file) not in known:
                loaded().load_file(file)
        if parts is None:
            parts = build_parts(self.perception, self.devices[number % len(self.devices)])
        store = Store(Path(self.perception.store))
        return VideoWork(parts, stage_keys(parts), store, note, retry_failed=self.retry_failed)


@dataclass(frozen=True)
class Fatal:
    """What stops everything, in a form that every process can read.

    Attributes:
        sort: Index into `FATAL`.
        text: The sentence.
    """

    sort: int
    text: str

    def error(self) -> EmoframeError:
        """Return the error again."""
        return FATAL[self.sort](self.text)

    @staticmethod
    def of(error: EmoframeError) -> Fatal:
        """Put an error into that form."""
        return Fatal(next(n for n, sort in enumerate(FATAL) if isinstance(error, sort)), str(error))
