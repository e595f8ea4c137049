"""Taking a bundle in: somebody else's file, of which nothing is believed before it is checked.

First the whole bundle is judged by its manifest and its indexes, and held to what the store has;
only then is anything written. A place is made of the manifest's checked hashes and names and never
of a member's name, so that none can lie outside the store. Each file is copied piece by piece and
held to its hash, and the index comes last, so that a stage is there whole or not at all, and a
killed import goes on where it was.
"""

from __future__ import annotations

import hashlib
import shutil
import stat
import struct
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from safetensors import SafetensorError, safe_open

from emoframe.core.errors import DataError, EmoframeError
from emoframe.core.files import replacing
from emoframe.perception.bundle_manifest import (
    MANIFEST,
    PIECE,
    BundledItem,
    BundledStage,
    Manifest,
    parse_manifest,
)
from emoframe.perception.entries import items
from emoframe.perception.index import INDEX, SHORT, Index, Shard, parse_index, read_index
from emoframe.perception.ledger import Ledger
from emoframe.perception.store import Store, StoreError, clear, finish, writing

MAX_TEXT = 2**28
"""Bytes of the largest manifest or index that is read."""
_UTF8 = 0x800
"""The one flag that a member may have: how its name is written."""
OnStage = Callable[[BundledStage], None]


@dataclass(frozen=True)
class Imported:
    """What an import did.

    Attributes:
        manifest: What the bundle holds.
        new: Number of stages that came in.
        there: Number of stages that the store had already.
    """

    manifest: Manifest
    new: int
    there: int


def import_bundle(
    bundle: Path, store_root: Path, on_stage: OnStage = lambda stage: None
) -> Imported:
    """Take the stages of a bundle into a store, and what their videos' hashes stand for.

    Args:
        bundle: The file.
        store_root: Folder of the store; it is made where it is missing.
        on_stage: Told of each stage that has come in.

    Raises:
        DataError: The bundle is damaged or no bundle, or contradicts what the store has; where the
            manifest or an index shows it, nothing has been written.
        StoreError: The store cannot be written.
    """
    root = Path(store_root)
    with _opened(Path(bundle)) as archive:
        manifest = parse_manifest(_read(archive, MANIFEST))
        _check_members(archive, manifest)
        indexes = [(stage, _index(archive, stage)) for stage in manifest.stages]
        todo = [pair for pair in indexes if not _is_there(root, *pair)]
        _feed(root, manifest)
        for stage, index in todo:
            with Store(root).lock(stage.video_hash):
                if not _is_there(root, stage, index):
                    _take(archive, root / stage.folder, stage, index)
            on_stage(stage)
    return Imported(manifest, len(todo), len(indexes) - len(todo))


@contextmanager
def _opened(bundle: Path) -> Iterator[zipfile.ZipFile]:
    """Open a bundle; what is wrong with the file or in it is a sentence that names it."""
    try:
        with zipfile.ZipFile(bundle) as archive:
            yield archive
    except StoreError:
        raise
    except FileNotFoundError as error:
        raise DataError(f"{bundle}: there is no such file") from error
    except EmoframeError as error:
        raise DataError(f"{bundle}: {error}") from error
    except (zipfile.BadZipFile, EOFError, struct.error, ValueError, RuntimeError, OSError) as error:
        raise DataError(
            f"{bundle}: is truncated or damaged, or no bundle ({error}); get a whole copy"
        ) from error


def _read(archive: zipfile.ZipFile, name: str) -> bytes:
    """Return a small member."""
    try:
        info = archive.getinfo(name)
    except KeyError as error:
        raise DataError(f"is no bundle of emoframe: it has no {name}") from error
    _check_member(info)
    if info.file_size > MAX_TEXT:
        raise DataError(f"its {name} is larger than any that emoframe writes")
    return archive.read(info)


def _check_member(info: zipfile.ZipInfo) -> None:
    """Refuse what emoframe never writes: compressed, encrypted, a link."""
    stored = info.compress_type == zipfile.ZIP_STORED and info.file_size == info.compress_size
    if not stored or info.flag_bits & ~_UTF8 or stat.S_ISLNK(info.external_attr >> 16):
        raise DataError(f"holds {info.filename!r}, which is no plain stored file; get another copy")


def _check_members(archive: zipfile.ZipFile, manifest: Manifest) -> None:
    """See that the bundle holds what its manifest names, each once, and nothing else."""
    infos = archive.infolist()
    names = [info.filename for info in infos]
    named = {MANIFEST, *(s.member(file) for s in manifest.stages for file in s.files)}
    if missing := named - {*names}:
        raise DataError(f"{min(missing)!r} is missing from it; get a whole copy")
    if extra := {*names} - named:
        raise DataError(f"holds {min(extra)!r}, which its {MANIFEST} does not name")
    if len({*names}) < len(names):
        raise DataError("holds two files of one name")
    for info in infos:
        _check_member(info)
    size = Path(str(archive.filename)).stat().st_size
    if sum(info.file_size for info in infos) > size:
        raise DataError("its files overlap; it was not made by emoframe")


def _index(archive: zipfile.ZipFile, stage: BundledStage) -> Index:
    """Return the index of a stage, which must say what the manifest says."""
    member = stage.member(INDEX)
    content = _read(archive, member)
    if hashlib.sha256(content).hexdigest() != stage.files[INDEX]:
        raise DataError(f"{member} is not what was exported; get a whole copy")
    try:
        index = parse_index(content)
    except DataError as error:
        raise DataError(f"{member} {error}") from error
    files = {shard.file: shard.sha256 for shard in index.shards}
    sizes = {s.file: archive.getinfo(stage.member(s.file)).file_size for s in index.shards}
    if (
        (index.name, index.key) != (stage.name, stage.key)
        or files != {name: digest for name, digest in stage.files.items() if name != INDEX}
        or sizes != {shard.file: shard.bytes for shard in index.shards}
    ):
        raise DataError(f"{member} and the {MANIFEST} say different things")
    return index


def _is_there(root: Path, stage: BundledStage, index: Index) -> bool:
    """Whether the store has this stage.

    A stage is what its shards are; what else is noted in an index, as the name of the video, may
    differ, and so may the words of a failure.

    Raises:
        DataError: It has another in that place.
    """
    folder = root / stage.folder
    if folder.is_symlink() or folder.parent.is_symlink():
        raise DataError(f"the store has a link in place of {folder}; delete it")
    there = read_index(folder)
    if there is None:
        return False
    if (there.key, there.status, there.shards) != (index.key, index.status, index.shards):
        raise DataError(
            f"the store has another {stage.name} in {folder}; delete that folder if the bundle's "
            "is to be taken, or import into another store"
        )
    return True


def _feed(root: Path, manifest: Manifest) -> None:
    """Tell the ledger what the hashes stand for, which must not contradict what it knows."""
    known: dict[tuple[str, str], set[str]] = {}
    for one in items(root):
        if one.video_hash:
            known.setdefault((one.dataset, one.id), set()).add(one.video_hash[:SHORT])
    new: list[BundledItem] = []
    for item in manifest.samples:
        there = known.get((item.dataset, item.id), set())
        if item.video_hash[:SHORT] in there:
            continue
        if there and item.dataset:
            raise DataError(
                f"calls another video {item.id!r} of data set {item.dataset!r} than the store, "
                f"which has it in folder {min(there)}; import into another store"
            )
        new.append(item)
    with Ledger(root) as ledger:
        for item in new:
            ledger.sample(item.dataset, item.id, Path(item.file), item.video_hash)
        for key, settings in manifest.settings.items():
            ledger.settings(settings.name, key, settings.content)


def _take(archive: zipfile.ZipFile, folder: Path, stage: BundledStage, index: Index) -> None:
    """Write a stage, its index last; without one there is no stage."""
    clear(folder)  # a kill may have left it without an index
    try:
        for shard in index.shards:
            with archive.open(stage.member(shard.file)) as source:
                _take_shard(source, folder / shard.file, shard)
        finish(folder, _read(archive, stage.member(INDEX)))
    except Exception:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _take_shard(source: IO[bytes], file: Path, shard: Shard) -> None:
    """Copy a shard piece by piece and see that it is what was exported, and can be read."""
    seen = hashlib.sha256()
    with writing(file), replacing(file) as partial, partial.open("xb") as target:
        while piece := source.read(PIECE):
            seen.update(piece)
            target.write(piece)
    if seen.hexdigest() != shard.sha256:
        raise DataError(f"{shard.file} of {file.parent.name} is not what was exported")
    try:
        with safe_open(file, "numpy") as arrays:
            shapes = [arrays.get_slice(name).get_shape() for name in arrays.keys()]  # noqa: SIM118
    except SafetensorError as error:
        raise DataError(f"{shard.file} of {file.parent.name} is no safetensors file") from error
    if not shapes or any(shape[:1] != [shard.frames] for shape in shapes):
        raise DataError(f"{shard.file} of {file.parent.name} has not {shard.frames} frames")
