"""The model card of a run: what it is for, what it was measured on, and where it ends.

After Mitchell et al. 2019. Decided here: every number is read from the run's own files, and one
that is not there is said to be missing; nothing is judged or trained for a card. So it is written
whenever the run is scored, and is never newer or older than its scores.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from emoframe.core.files import file_hash, write_text
from emoframe.evidence.breakdown import UNKNOWN, per_subject
from emoframe.evidence.evaluate import SHARED, SPLITS, saved_predictions
from emoframe.evidence.metrics import openings
from emoframe.evidence.prediction.standing import about, meaning, standing
from emoframe.evidence.stats import Interval
from emoframe.evidence.submissions.ledger import Entry, after_leaderboard
from emoframe.learning.run import BEST, Run, load_run
from emoframe.learning.stages import LABELS

FILE = "card.md"
MISSING = "missing: the run's record does not say"
FEW = 30
"""Subjects below which a card warns of their number."""
INTERVALS = ("accuracy", "balanced_accuracy", "auc", "ece", "brier", "hard_vote")
PLAIN = {"majority": "majority", "macro_f1": "macro F1"}


def write(run: Run | str | Path) -> Path:
    """Write `card.md` into a run folder.

    Args:
        run: The run or its folder, scored or not.

    Returns:
        The file.

    Raises:
        RunError: It is no run folder.
        DataError: A ledger of submissions beside it is damaged.
    """
    run = run if isinstance(run, Run) else load_run(run)
    templates = Environment(
        loader=PackageLoader("emoframe", "templates"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    templates.filters["cell"] = lambda text: str(text).replace("|", "\\|").replace("\n", " ")
    scored = [_scored(run, row) for row in standing(run)]
    known, leaderboard = {one["split"] for one in scored}, after_leaderboard(run)
    asked = [split for split in SPLITS if split != "held" or run.experiment.folds]
    text = templates.get_template(FILE).render(
        version=version("emoframe"),
        name=run.folder.name,
        warnings=list(_warnings(run, scored, leaderboard)),
        meaning=meaning(run),
        outcome=_of_outcomes(run),
        inputs=sorted(run.experiment.model.branches),
        classes=run.classes,
        about=about(run),
        trained=_trained(run),
        scored=scored,
        lacking=[split for split in asked if split not in known],
        openings=openings(run.folder),
        leaderboard=leaderboard,
        limits=list(_limits(run, scored)),
        versions=_versions(run),
    )
    path = run.folder / FILE
    write_text(path, text)
    return path


def _of_outcomes(run: Run) -> bool:
    """Whether the classes are outcomes of a match, and not micro-gestures."""
    protocol = run.card["protocol"]
    return protocol.startswith("imigue:") and not protocol.startswith("imigue:micro_gesture")


def _trained(run: Run) -> dict[str, Any]:
    """Return what a run was trained on, from its record."""
    told = {key: value for key, value in about(run).items() if key not in ("folder", "trained on")}
    told["synthetic"] = "yes" if told["synthetic"] else "no"
    items, seen, weak = run.card["items"], run.card.get("seen", {}), run.card.get("weak")
    subjects, none = seen.get("subjects"), "none" if "weak" in run.card else MISSING
    return {
        **told,
        "items to learn from, weak ones included": items["train"],
        "items to select by": items["val"],
        "subjects in both": MISSING if subjects is None else len(subjects) or "unknown",
        "inputs": ", ".join(f"{name} ({at})" for name, at in run.experiment.features.items()),
        "weak labels": f"{sum(weak['used'].values())} of {weak['items']} items" if weak else none,
        "weak labels by class": _counts(weak["used"]) if weak else none,
        "teacher": _teacher(run),
        "starts from": ", ".join(f"{k}: {v['run']}" for k, v in run.card.get("init", {}).items())
        or "random weights",
        "rationales": _counts(run.card.get("rationales") or {}) or "none",
        "epochs": f"{len(run.history())}, the one with the lowest validation loss was kept",
    }


def _teacher(run: Run) -> str:
    """Say who made the weak labels of the last stage, and whether earlier ones had any."""
    asked, weak = run.experiment, run.experiment.weak
    before = list(run.asked.stages)[:-1]
    also = [name for name in before if run.asked.stages[name].weak]
    more = f"; weak labels also taught the stages {', '.join(also)}" if also else ""
    if weak is None:
        return f"none{more}"
    if weak.source != LABELS:
        return f"the predictions of {weak.source}{more}"
    settings = asked.weak_labels
    if settings is None:
        return f"{MISSING}{more}"
    who = settings.labeler or settings.vlm_labeler["type"]
    made_up = (run.card.get("weak") or {}).get("simulated")
    note = " (simulated: no model saw a clip)" if made_up else ""
    return f"{who}{note}, asked by the prompt {Path(settings.prompt).stem}{more}"


def _scored(run: Run, row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the numbers of a split, as texts."""
    split = row["split"]
    told = json.loads((run.folder / f"scores-{split}.json").read_text(encoding="utf-8"))
    told["hard_vote"] = told.get("hard_vote") or "one view only"
    numbers = {
        "items": told["count"],
        "subjects": told["subjects"] or "unknown",
        **{key.replace("_", " "): _number(told.get(key)) for key in INTERVALS},
        **{name: _number(told.get(key)) for key, name in PLAIN.items()},
        "interval of the accuracy": row["interval"],
        "views of each item": told.get("views", MISSING),
    }
    counts = {name: sum(of) for name, of in zip(run.classes, told["confusion"], strict=True)}
    classes = [
        {"name": name, "count": count, "recall": _number(told["recall"].get(name))}
        for name, count in counts.items()
    ]
    spread = _spread(run, split)
    return {"split": split, "numbers": numbers, "classes": classes, "spread": spread, **row}


def _number(told: Any) -> str:
    """Write a score as it was measured: with its interval, or why it could not be."""
    if isinstance(told, Mapping):
        return str(Interval(**{"low": float("nan"), "high": float("nan"), **told}))
    if isinstance(told, float):
        return f"{told:.3f}"
    return "missing" if told is None else str(told)


def _spread(run: Run, split: str) -> str:
    """Say how differently subjects fare."""
    if not (run.folder / f"predictions-{split}.csv").is_file():
        return "By subject: missing, since there are no predictions of it."
    table = per_subject(saved_predictions(run, split), run.classes)
    table = table[table["subject"] != UNKNOWN]
    if not len(table):
        return "By subject: missing, since it is not known whom the items show."
    share: Any = table["accuracy"]
    return (
        f"By subject: accuracy from {share.min():.3f} to {share.max():.3f}, median "
        f"{share.median():.3f}, over {len(table)} subjects with {table['items'].min()} to "
        f"{table['items'].max()} items each; of {(share == 0).sum()} of them every item is wrong."
    )


def _warnings(run: Run, scored: list[dict[str, Any]], leaderboard: list[Entry]) -> Iterator[str]:
    """Yield what nobody may overlook."""
    if run.synthetic:
        yield "SYNTHETIC: it learned from made-up data or labels; it says nothing about people."
    if run.experiment.train.shuffle_labels:
        yield "CONTROL: it learned from shuffled labels and knows nothing."
    if run.mode == "transductive":
        yield (
            "TRANSDUCTIVE: it learned from weak labels of the items that it is judged on; its "
            "scores are of these items, and of no others."
        )
    if leaderboard:
        yield (
            "LEADERBOARD-SELECTED: it began after the score of a submission of this protocol had "
            "come back, so that its test result is no blind one."
        )
    if not scored:
        yield "NEVER SCORED: it is not known how often it is right."
    for one in scored:
        if one["low"] <= one["majority"]:
            yield (
                f"On {one['split']} it is not clearly better than always naming the most frequent "
                f"class: {one['accuracy']} against {one['majority']:.3f}."
            )


def _limits(run: Run, scored: list[dict[str, Any]]) -> Iterator[str]:
    """Yield where its numbers end."""
    yield "The epoch was chosen by validation loss, so that scores on validation flatter it."
    yield (
        "It is one training: another seed gives another network. Intervals are over items and "
        "subjects, not over seeds; compare several seeds and folds with `emoframe compare`."
    )
    for one in scored:
        subjects = one["subjects"]
        if subjects == "unknown":
            yield (
                f"{one['split']}: it is not known whom the items show, so that its interval takes "
                "them for independent and may be too narrow."
            )
        elif subjects < FEW:
            yield f"{one['split']}: {subjects} subjects are few; other people may fare otherwise."
    if run.experiment.folds and run.experiment.folds_by == "item":
        yield f"{SHARED[0].upper()}{SHARED[1:]}."
    opened = len(openings(run.folder))
    if opened > 1:
        yield f"Test was opened {opened} times: what was changed in between was selected on it."
    if "/incomplete" in run.card["protocol"]:
        yield "The copy of the data set is not whole; its protocol is one of its own."
    if run.mode == "inductive":
        yield "Its weak labels are as wrong as their teacher; see `emoframe labels` for how much."
    yield "What differs between groups of people was looked at by subject only, see above."


def _versions(run: Run) -> dict[str, Any]:
    """Return all that a second training has to have alike."""
    card, weights = run.card, run.folder / BEST
    weak = card.get("weak")
    return {
        "data hash": card.get("data_hash", MISSING),
        "weights (sha256)": file_hash(weights) if weights.is_file() else "missing: none yet",
        "weak labels (sha256)": weak["hash"] if weak else "none",
        "seed": card.get("seed", MISSING),
        "python": card.get("python", MISSING),
        **card.get("libraries", {}),
        "plugins": ", ".join(card["plugins"]) if "plugins" in card else MISSING,
    }


def _counts(told: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}: {value}" for name, value in told.items())
