"""The files of a checkpoint: found on this machine, else fetched, else a sentence.

Decided here: a folder is used as it is and no hub is asked about it; a published name is looked for
in the folder of models and in the library's cache before anything goes over the network; all files
of a name come from one commit. The library neither reports on us nor draws progress bars.
"""

from __future__ import annotations

import importlib
import os
import re
from pathlib import Path
from typing import Any

from emoframe import ComponentError

BARS, VERBOSITY = "HF_HUB_DISABLE_PROGRESS_BARS", "TRANSFORMERS_VERBOSITY"
QUIET = {
    "DO_NOT_TRACK": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    BARS: "1",
    "HF_HUB_DISABLE_UPDATE_CHECK": "1",
    VERBOSITY: "error",
    "TOKENIZERS_PARALLELISM": "false",  # else each loader worker is told of at length
}
CONFIG, WEIGHTS, SCALE = "config.json", "model.safetensors", "preprocessor_config.json"
INDEX = "model.safetensors.index.json"
"""Which part of the weights lies in which file, where they are too large for one."""
NESTED = "processor_config.json"
"""Where transformers 5 writes what the third held, as the block `image_processor`."""
PICKLES = ("pytorch_model.bin", "model.pt", "model.bin")
PATIENCE_S = 10


def quiet() -> None:
    """Set what keeps the library quiet, unless the user set it; call before importing it."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)


def library() -> Any:
    """Import transformers, quiet also where somebody imported it before."""
    quiet()
    transformers = importlib.import_module("transformers")
    if os.environ[BARS] == "1":
        transformers.logging.disable_progress_bar()
    if os.environ[VERBOSITY] == "error":
        transformers.logging.set_verbosity_error()
    return transformers


def models() -> Path:
    """Name the folder that a user may put published models into."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "emoframe" / "transformers"


class Files:
    """Finds the files of one checkpoint.

    Attributes:
        part: Who asks, for the messages.
        weights: A folder, or a published name.
        needed: The files that a user is told to fetch.
    """

    def __init__(
        self, part: str, weights: str, needed: tuple[str, ...] = (CONFIG, WEIGHTS, SCALE)
    ) -> None:
        self.part = part
        self.weights = weights
        self.needed = needed
        self._commit: str | None = None

    def find(self, name: str) -> Path:
        """Return where a file lies, fetched if need be.

        Args:
            name: `config.json`, `model.safetensors`, `preprocessor_config.json`, ...

        Raises:
            ComponentError: It is not here and cannot be downloaded, or the checkpoint has none.
        """
        found = self.look_for(name)
        if found is None:
            raise self.error(f"the checkpoint has no {name}{self._pickled()}")
        return found

    def look_for(self, name: str) -> Path | None:
        """Return where a file lies, fetched if need be; None if the checkpoint has none such.

        Raises:
            ComponentError: It is not here and cannot be downloaded.
        """
        folder = self._folder()
        if folder is None:
            return self._published(name)
        return folder / name if (folder / name).is_file() else None

    def here(self, name: str) -> Path | None:
        """Return where a file lies on this machine; None where it does not. No hub is asked.

        Raises:
            ComponentError: The weights are no folder and no published name.
        """
        folder = self._folder()
        if folder is not None:
            return folder / name if (folder / name).is_file() else None
        found = self._cached(name)
        return Path(found) if isinstance(found, str) else None

    def of_pixels(self) -> tuple[str, str]:
        """Name the files that may say how pixels are scaled, the first that does so to be taken.

        In a folder that transformers 5 has written into, the older file may be left over, and the
        library too prefers the newer one. A published checkpoint has nearly always the older one,
        and whoever has that in the cache shall not need a network to hear that the other is absent.
        """
        return (SCALE, NESTED) if self._folder() is None else (NESTED, SCALE)

    def error(self, why: str) -> ComponentError:
        """Say that the files are not here, which ones are needed, and where to put them."""
        needed = f"{', '.join(self.needed[:-1])} and {self.needed[-1]}"
        if self._is_name():
            from_where = f" from https://huggingface.co/{self.weights}/tree/main"
            into = f"into {models() / self.weights}, or into any folder and give weights=FOLDER"
        else:
            from_where, into = "", "of a model that was saved by transformers into one folder"
            into += " and give weights=FOLDER, or give a published name such as OWNER/MODEL"
        return ComponentError(
            f"{self.part}: the weights {self.weights!r} are not here ({why}); put {needed}"
            f"{from_where} {into}"
        )

    def _folder(self) -> Path | None:
        """Return the folder that holds the checkpoint; None for a name that lies in none."""
        given = Path(self.weights).expanduser()
        kept = models() / self.weights
        if given.is_dir():
            return given
        if self._is_name():
            return kept if (kept / CONFIG).is_file() else None
        raise self.error("it is a file" if given.exists() else "there is no such folder")

    def _is_name(self) -> bool:
        return re.fullmatch(r"\w[\w.-]*/[\w.-]+", self.weights) is not None

    def _pickled(self) -> str:
        """Explain a checkpoint that is there as a pickle, which this plugin does not open."""
        folder = self._folder()
        if folder is not None and not any((folder / name).is_file() for name in PICKLES):
            return ""
        return "; pickles such as pytorch_model.bin are not read, see the README on converting one"

    def _cached(self, name: str) -> Any:
        """Look into the library's cache: a path, None, or its mark for a file that no hub has."""
        quiet()
        from huggingface_hub import try_to_load_from_cache

        return try_to_load_from_cache(self.weights, name, revision=self._commit)

    def _published(self, name: str) -> Path | None:
        """Look into the library's cache, then ask the hub."""
        kept = self._cached(name)
        found = self._download(name) if kept is None else kept
        if not isinstance(found, str):  # known to be in no such checkpoint
            return None
        self._commit = self._commit or Path(found).parent.name
        return Path(found)

    def _download(self, name: str) -> str | None:
        """Let the library fetch a file; None if the checkpoint has none such."""
        from huggingface_hub import constants, hf_hub_download
        from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError
        from huggingface_hub.utils import get_session, httpx

        try:
            # the library tries a dead network for 23 seconds
            get_session().head(constants.ENDPOINT, timeout=PATIENCE_S)
            return hf_hub_download(self.weights, name, revision=self._commit)
        except LocalEntryNotFoundError as error:
            raise self.error(f"{name} is not, and no hub was reached") from error
        except EntryNotFoundError:
            return None
        except (OSError, ValueError, httpx.HTTPError) as error:
            why = next(iter(str(error).splitlines()), type(error).__name__)
            raise self.error(f"the download of {name} failed: {why}") from error
