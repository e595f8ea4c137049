"""Clips at the Files API: sent once, found again, deleted when nothing more is asked.

Decided here: a file is named by a hash of the clip's key and of the bytes that are shown, so that
after a kill, and for the next sample, the upload that is there is used; bytes go without a file
name; threads that ask about one clip wait for the one that uploads it. A file that stays in
PROCESSING is deleted and sent once more, then given up. What is left over is deleted when the
labeler is closed; Google deletes everything after 48 hours.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from emoframe import file_hash
from emoframe.labelling import CallError, Clip
from emoframe_genai.request import mime_type
from emoframe_genai.service import Service

if TYPE_CHECKING:
    from pathlib import Path

    from google.genai import types

MOST_BYTES = 2 * 1024**3
"""Of one file at the Files API."""
NAME = 40
"""Most characters of a file's name there."""

ABSENT = {403, 404}
"""What the service says of a file that is not there: 403, since it may be somebody else's."""

log = logging.getLogger(__name__)


@dataclass
class _Upload:
    """One file.

    Attributes:
        clip: Key of the clip that it shows; empty for that of a batch, which no release deletes.
        lock: Held by the thread that sends it.
        name: What it is called there; empty while it is not there.
        file: What the service says of it, once it can be used.
        stuck: Whether it stayed in PROCESSING once.
    """

    clip: str
    lock: threading.Lock = field(default_factory=threading.Lock)
    name: str = ""
    file: types.File | None = None
    stuck: bool = False


class Uploads:
    """The clips that are at the service.

    Args:
        service: The connection.
        timeout_s: Seconds that an upload, and after it the processing, may take.
        poll_s: Seconds between two looks at a file that is processed.
    """

    def __init__(self, service: Service, timeout_s: float, poll_s: float) -> None:
        self._service = service
        self._timeout_s, self._poll_s = timeout_s, poll_s
        self._lock = threading.Lock()
        self._known: dict[str, _Upload] = {}

    def source(self, clip: Clip, batch: str = "") -> types.FileData:
        """Return a reference to a clip, uploaded if it is not there.

        Args:
            clip: A clip with a video.
            batch: Name of a batch, which has files of its own, kept until it is collected.

        Raises:
            CallError: It could not be uploaded, or the service cannot read it.
        """
        from google.genai import types

        assert clip.path is not None
        name = hashed(clip.key, file_hash(clip.path), batch)
        with self._lock:
            upload = self._known.setdefault(name, _Upload("" if batch else clip.key))
        with upload.lock:
            if upload.file is None:
                upload.name = f"files/{name}"  # it may arrive although no answer does
                file = self._look(name) or self._send(clip, name)
                upload.name = file.name or ""
                upload.file = self._active(upload, file)
            return types.FileData(file_uri=upload.file.uri, mime_type=upload.file.mime_type)

    def forget(self, uri: str | None) -> None:
        """Upload a file anew the next time: the service no longer has it."""
        with self._lock:
            for upload in self._known.values():
                if upload.file is not None and upload.file.uri == uri:
                    upload.file, upload.name = None, ""

    def release(self, key: str) -> None:
        """Delete what was uploaded of a clip. What fails is logged, and expires by itself."""
        with self._lock:
            gone = [name for name, upload in self._known.items() if upload.clip == key]
            uploads = [self._known.pop(name) for name in gone]
        for upload in uploads:
            self._drop(upload)

    def release_all(self) -> None:
        """Delete what was uploaded, but for the files of batches."""
        for key in {upload.clip for upload in self._known.values()} - {""}:
            self.release(key)

    def delete(self, name: str) -> None:
        """Delete a file if it is there; a failure is logged."""
        from google.genai.errors import APIError

        def work(client: Any) -> None:
            try:
                client.files.delete(name=name)
            except APIError as error:
                if error.code not in ABSENT:
                    raise

        try:
            self._service.call("upload", work)
        except CallError as error:
            log.warning("an upload could not be deleted; it expires within 48 hours: %s", error)

    def _drop(self, upload: _Upload) -> None:
        """Delete a file if it is there."""
        name, upload.name, upload.file = upload.name, "", None
        if name:
            self.delete(name)

    def put(self, path: Path, mime: str, name: str, *, named: bool = True) -> types.File | None:
        """Send a file.

        Args:
            path: What to send.
            mime: Its type.
            name: A hash, to be its name and its display name there.
            named: False leaves its name to the service.

        Returns:
            The file; None if there is one of that name already.

        Raises:
            CallError: The upload failed.
        """
        from google.genai import types
        from google.genai.errors import APIError

        config = types.UploadFileConfig(
            name=name if named else None,
            display_name=name,
            mime_type=mime,
            http_options=types.HttpOptions(timeout=int(self._timeout_s * 1000)),
        )

        def work(client: Any) -> types.File | None:
            try:
                with path.open("rb") as file:  # a path would send the file's name along
                    return client.files.upload(file=file, config=config)
            except APIError as error:
                if error.code == 409 and named:
                    return None
                raise

        return self._service.call("upload", work)

    def _send(self, clip: Clip, name: str) -> types.File:
        """Upload a clip, unless somebody else just did."""
        assert clip.path is not None
        kind = mime_type(clip.path)
        # a name that is taken and not found belongs to another project
        file = self.put(clip.path, kind, name) or self._look(name)
        file = file or self.put(clip.path, kind, name, named=False)
        assert file is not None
        return file

    def _look(self, name: str) -> types.File | None:
        """Return the file of a name; None if there is none, or none of ours."""
        from google.genai.errors import APIError

        def work(client: Any) -> types.File | None:
            try:
                return client.files.get(name=f"files/{name}")
            except APIError as error:
                if error.code not in ABSENT:
                    raise
                return None

        return self._service.call("upload", work)

    def _active(self, upload: _Upload, file: types.File) -> types.File:
        """Wait until a file can be used.

        Raises:
            CallError: The service could not process it, or takes too long.
        """
        end = time.monotonic() + self._timeout_s
        name = file.name or ""
        while (state := file.state.name if file.state else "") not in {"ACTIVE", "FAILED"}:
            if time.monotonic() > end:
                self._drop(upload)
                again, upload.stuck = not upload.stuck, True
                raise CallError(
                    f"Gemini did not get ready with the upload within {self._timeout_s:g} s "
                    f"(it is still {state or 'without a state'}); see upload_timeout_s",
                    retry=again,
                )
            time.sleep(self._poll_s)
            file = self._service.call("upload", lambda client: client.files.get(name=name))
        if state == "FAILED":
            self._drop(upload)
            why = file.error.message if file.error and file.error.message else "it does not say why"
            raise CallError(f"Gemini could not process the clip ({why})")
        return file


def hashed(*parts: str) -> str:
    """Return a name for the Files API that says nothing but is the same for the same parts."""
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:NAME]
