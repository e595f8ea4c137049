"""What was extracted, looked at before anything is trained: figures, tables and one page.

Section 2 of the paper shows keypoints over frames (W2S-04) and the lengths of videos (W2S-05).
Beside these stand what else decides whether keypoints can be believed: what was measured of each
part, how sure the estimator was, how much the box drifts, and, where a second config is given, how
two estimators differ on the same videos (W2S-43). No label is ever looked at.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from emoframe.core.errors import DataError
from emoframe.core.files import replacing, write_text
from emoframe.core.registry import create
from emoframe.core.schema import plain
from emoframe.evidence.labels.agreement import MEASURES, SOURCES, compare_keypoints, summarise, told
from emoframe.evidence.pictures.page import Comparison, Page, Sheet
from emoframe.evidence.pictures.survey import Item, Survey, items_of, joints_of, source, survey
from emoframe.interfaces import Dataset
from emoframe.learning.clips import Loader
from emoframe.learning.experiment import Experiment
from emoframe.perception.draw import contact_sheet
from emoframe.perception.settings import Faces

FRAME_VIEW = 800
"""Frames of a video that the paper's frame branch samples (W2S-10)."""
OnVideo = Callable[[str], None]


def eda(
    experiment: Experiment,
    out: Path,
    *,
    most: int = 3,
    faces: Faces | None = None,
    compare: Experiment | None = None,
    on_video: OnVideo = lambda text: None,
) -> pd.DataFrame:
    """Look at the keypoints of a config, and write figures, tables and `eda.html` to a folder.

    Args:
        experiment: Names the videos and where their keypoints are.
        out: The folder; PNGs, `videos.csv` and `.json`, and with `compare` also `comparison.csv`,
            `.json` and `comparison-videos.csv`.
        most: Videos to draw keypoints of, spread from the least to the best measured.
        faces: What may be seen of people; None for what the config's `privacy` says.
        compare: Where other keypoints of the same videos are; its data set is not used unless
            it brings them along.
        on_video: Called after each video with its name and what became of it.

    Returns:
        One row per video, as `emoframe.evidence.pictures.survey.survey` describes it.

    Raises:
        DataError: No video has keypoints, none can be compared, or the folder cannot be written.
    """
    dataset: Dataset = create("dataset", experiment.dataset)
    items, load = items_of(dataset), source(experiment, dataset)
    found = survey(items, load, dataset, on_video)
    sources, comparison = {_name(experiment): load}, None
    if compare is not None:
        second = source(compare, create("dataset", compare.dataset))
        names = (f"A: {_name(experiment)}", f"B: {_name(compare)}")
        sources = dict(zip(names, (load, second), strict=True))
        comparison = _compared(items, sources, dataset, on_video)
    show = faces or experiment.privacy.faces
    try:
        out.mkdir(parents=True, exist_ok=True)
        _tables(out, found, comparison)
        sheets = _sheets(_shown(items, found, comparison, most), sources, dataset, out, show)
        page = Page(found, comparison, sheets, show, _name(experiment))
        page.write(out, {"keypoints": experiment.view.keypoints.frames, "pictures": FRAME_VIEW})
    except OSError as error:
        raise DataError(
            f"{error.filename or out}: cannot be written ({error.strerror}); choose another folder"
        ) from error
    return found.table


def _name(experiment: Experiment) -> str:
    """Say where keypoints come from."""
    perception = experiment.perception
    if perception is None:
        return f"the data set {experiment.dataset['type']}"
    estimator = (perception.pose_estimator or {}).get("type", "another stage")
    return f"{estimator} in boxes of {perception.detector['type']}"


def _compared(
    items: Sequence[Item], sources: Mapping[str, Loader], dataset: Dataset, on_video: OnVideo
) -> Comparison:
    """Measure both sources on every video that both have."""
    tables: list[pd.DataFrame] = []
    absent: dict[str, str] = {}
    first, second = sources.values()
    for item in items:
        try:
            a, b = first(item.ref), second(item.ref)
            one = compare_keypoints(a, b, joints_of(a, dataset))
            tables.append(one.assign(id=item.ref.id))
        except DataError as error:
            absent[item.ref.id] = str(error)
        on_video(f"{item.ref.id}: {absent.get(item.ref.id, 'compared')}")
    if not tables:
        name, reason = next(iter(absent.items()))
        raise DataError(
            f"no video can be compared ({name}: {reason}); both configs need keypoints of the "
            "same layout and of the same frames"
        )
    a, b = sources
    values = pd.concat(tables, ignore_index=True)
    summary = summarise([table.drop(columns="id") for table in tables])
    return Comparison((a, b), summary, values, absent)


def _tables(out: Path, found: Survey, comparison: Comparison | None) -> None:
    """Write every number, for people and for programs."""
    whole = {"videos": found.table}
    if comparison:
        printed = {of: comparison.table[of].map(told) for of in SOURCES}
        whole["comparison"] = comparison.table.assign(**printed)
        whole["comparison-videos"] = comparison.videos
    for name, table in whole.items():
        with replacing(out / f"{name}.csv") as partial:
            table.to_csv(partial, index=False)
    with replacing(out / "videos.json") as partial:
        found.table.to_json(partial, orient="records", indent=1)
    if comparison:
        document = {
            "sources": comparison.names,
            "measures": {name: measure._asdict() for name, measure in MEASURES.items()},
            "rows": plain(comparison.table.to_dict("records")),
            "absent": dict(comparison.absent),
        }
        write_text(out / "comparison.json", json.dumps(_nulls(document), indent=1))


def _nulls(value: Any) -> Any:
    """Replace what is no number by null, which JSON knows."""
    if isinstance(value, dict):
        return {key: _nulls(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_nulls(item) for item in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value


def _shown(
    items: Sequence[Item], found: Survey, comparison: Comparison | None, most: int
) -> list[Item]:
    """Choose videos from the least to the best measured, of those that every source has."""
    lacking = comparison.absent if comparison else {}
    seen = {item.ref.id: item for item in items if item.ref.video and item.ref.id not in lacking}
    order = [seen[name] for name in found.ordered()["id"] if name in seen]
    spread = np.linspace(0, len(order) - 1, min(most, len(order)))
    return [order[n] for n in spread.round().astype(int)]


def _sheets(
    shown: Sequence[Item],
    sources: Mapping[str, Loader],
    dataset: Dataset,
    out: Path,
    faces: Faces,
) -> list[Sheet]:
    """Draw keypoints over frames; pictures of an earlier call, which may show faces, go away."""
    for old in out.glob("sheet-*.png"):
        old.unlink()
    sheets: list[Sheet] = []
    for number, item in enumerate(shown, 1):
        assert item.ref.video is not None
        for letter, (name, load) in zip("ab", sources.items(), strict=False):
            picture, why = out / f"sheet-{number}{letter}.png", ""
            try:
                keypoints = load(item.ref)
                joints = joints_of(keypoints, dataset)
                contact_sheet(item.ref.video, keypoints, joints, picture, faces=faces)
            except DataError as error:
                why = str(error)
            sheets.append(Sheet(f"{item.ref.id}, {name}", None if why else picture, why))
    return sheets
