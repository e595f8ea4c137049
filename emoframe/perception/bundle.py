"""Making a bundle: finished stages in one file, so that a training can start where no video is.

No frame, no video, and no folder of the machine that made it: of an absolute path, in the settings,
in the reason of a failure or in what was noted along, only the last name travels. Nor does a video
that an item stood for once and no longer does. What the terms of the data do not allow is not made
by accident. `emoframe.perception.bundle_import` takes a bundle in.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from emoframe.core.errors import DataError, suggest
from emoframe.core.files import replacing
from emoframe.perception.bundle_manifest import (
    FORMAT,
    MANIFEST,
    PIECE,
    BundledItem,
    BundledSettings,
    BundledStage,
    Manifest,
)
from emoframe.perception.entries import Known, items, settings_of, standing
from emoframe.perception.index import INDEX, SHORT, DamagedError, Index, damaged
from emoframe.perception.inventory import stages
from emoframe.perception.paths import last_name, portable, without_folders

UNKNOWN_TERMS = {"redistribute": "unknown", "note": "no terms were given when this was made"}
_EPOCH = (1980, 1, 1, 0, 0, 0)


def export_bundle(
    store_root: Path,
    bundle: Path,
    *,
    stage_names: Sequence[str] = (),
    dataset: str = "",
    terms: Mapping[str, Any] | None = None,
    terms_accepted: bool = False,
) -> Manifest:
    """Write finished stages into one file, whole or not at all.

    Args:
        store_root: Folder of the store.
        bundle: The file; one that is there is replaced.
        stage_names: Only these stages; empty for all.
        dataset: Only items of this data set; empty for everything.
        terms: Terms of the data set, as in its `terms.yaml`; None where they are not known.
        terms_accepted: Export whatever the terms say: they have been read and allow it.

    Raises:
        DataError: The terms do not allow it, an item stands for two videos, there is nothing to
            export, or the file cannot be written.
        DamagedError: A stage is not as it was written.
    """
    root = Path(store_root)
    known = standing(root, dataset)
    told = _checked_terms(terms, {one.dataset for one in known}, terms_accepted)
    packed = _chosen(root, known, stage_names, dataset)
    videos, keys = {one.folder.parent.name for one in packed}, {one.stage.key for one in packed}
    manifest = Manifest(
        format=FORMAT,
        emoframe=version("emoframe"),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        terms=told,
        terms_accepted=terms_accepted,
        samples=[
            BundledItem(one.dataset, one.id, one.video_hash, last_name(one.video))
            for one in known
            if one.video_hash[:SHORT] in videos
        ],
        stages=[one.stage for one in packed],
        settings={
            key: BundledSettings(name, portable(content))
            for key, (name, content) in settings_of(root).items()
            if key in keys
        },
    )
    _write(Path(bundle), manifest, packed)
    return manifest


def _checked_terms(
    terms: Mapping[str, Any] | None, datasets: set[str], accepted: bool
) -> dict[str, Any]:
    """Refuse what the terms of the data do not allow, and return what the manifest says of them."""
    if terms is None:
        return UNKNOWN_TERMS
    said = terms.get("redistribute")
    said = {True: "yes", False: "no"}.get(said, said) if isinstance(said, bool) else said
    others = datasets - {terms.get("dataset", ""), ""}
    if terms.get("dataset") and others:
        raise DataError(
            f"the terms are those of {terms['dataset']!r}, and there are items of "
            f"{', '.join(sorted(others))}; export each data set by itself with --dataset"
        )
    if said != "yes" and not accepted:
        quoted = "; ".join(f"{name}: {text}" for name, text in terms.items())
        raise DataError(
            f"the terms of these data do not say that they may be handed on ({quoted}); where its "
            "authors have allowed it to you, say so with --terms-accepted"
        )
    return {**terms, "redistribute": said}


@dataclass(frozen=True)
class _Packed:
    """A stage on its way: where it lies, its line in the manifest, its index as it travels."""

    folder: Path
    stage: BundledStage
    index: bytes


def _chosen(
    root: Path, known: Iterable[Known], names: Sequence[str], dataset: str
) -> list[_Packed]:
    """Find the stages that are asked for."""
    by_video = defaultdict[str, list[Known]](list)
    for one in known:
        by_video[one.video_hash[:SHORT]].append(one)
    replaced = {one.video_hash[:SHORT] for one in items(root)} - {*by_video}
    found: list[_Packed] = []
    for folder, index in stages(root):
        video = folder.parent.name
        if video in replaced or (dataset and video not in by_video):
            continue
        if isinstance(index, DamagedError):
            raise index
        found.append(_packed(folder, index, by_video[video]))
    there = sorted({one.stage.name for one in found})
    for name in {*names} - {*there}:
        raise DataError(
            f"{root}: has no stage {name!r}{suggest(name, there)} (it has "
            f"{', '.join(there) or 'none'})"
        )
    if not found:
        of = f" of data set {dataset!r}" if dataset else ""
        raise DataError(f"{root}: has no finished stage{of}; run emoframe extract first")
    return [one for one in found if not names or one.stage.name in names]


def _packed(folder: Path, index: Index, named: Sequence[Known]) -> _Packed:
    content = (folder / INDEX).read_bytes()
    said = json.loads(content)
    reason = index.reason
    for one in named:  # whole, whatever its folders are called
        reason = reason.replace(one.video, last_name(one.video))
    told = said | {"reason": without_folders(reason), "meta": portable(index.meta)}
    if told != said:
        content = json.dumps(told, indent=1).encode()
    full = max((one.video_hash for one in named), key=len, default=folder.parent.name)
    files = {shard.file: shard.sha256 for shard in index.shards}
    files[INDEX] = hashlib.sha256(content).hexdigest()
    return _Packed(folder, BundledStage(full, index.name, index.key, files), content)


def _write(bundle: Path, manifest: Manifest, packed: Sequence[_Packed]) -> None:
    """Write a bundle beside its place, and rename it once all of it is right."""
    try:
        bundle.parent.mkdir(parents=True, exist_ok=True)
        with replacing(bundle) as partial:
            try:
                _pack(partial, manifest, packed)
            except BaseException:
                partial.unlink(missing_ok=True)
                raise
    except OSError as error:
        why = error.strerror or error
        raise DataError(f"{bundle}: the bundle cannot be written ({why})") from error


def _pack(file: Path, manifest: Manifest, packed: Sequence[_Packed]) -> None:
    with zipfile.ZipFile(file, "w") as out:
        out.writestr(_member(MANIFEST), json.dumps(asdict(manifest), indent=1))
        for one in packed:
            for name, digest in one.stage.files.items():
                place = one.stage.member(name)
                if name == INDEX:
                    out.writestr(_member(place), one.index)
                else:
                    _copy_shard(one.folder / name, digest, out, place)


def _copy_shard(file: Path, digest: str, out: zipfile.ZipFile, place: str) -> None:
    """Copy a shard piece by piece, and see on the way that it is what was written."""
    info, seen = _member(place), hashlib.sha256()
    try:
        source = file.open("rb")
    except FileNotFoundError as error:
        raise damaged(file.parent, f"{file.name} is missing") from error
    with source:
        info.file_size = file.stat().st_size
        with out.open(info, "w") as target:
            while piece := source.read(PIECE):
                seen.update(piece)
                target.write(piece)
    if seen.hexdigest() != digest:
        raise damaged(file.parent, f"{file.name} has changed since it was written")


def _member(name: str) -> zipfile.ZipInfo:
    """Name a member; without a date, since the manifest has it."""
    return zipfile.ZipInfo(name, _EPOCH)
