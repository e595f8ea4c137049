"""`emoframe labels show`: all that was asked and answered about one item, or one prompt whole."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from emoframe.cli.labels_options import Store, found_in
from emoframe.cli.output import Json, as_json, say
from emoframe.core.errors import DataError

if TYPE_CHECKING:
    from emoframe.labelling import Prompt, WeakLabel
    from emoframe.weak_labels.exchange.listing import Listed
    from emoframe.weak_labels.store import Answer, LabelStore

What = Annotated[
    str,
    typer.Argument(
        metavar="WHAT",
        help="An item, a prompt, or the beginning of the hash of a clip or a prompt.",
    ),
]


def show(
    store: Store,
    what: What,
    raw: Annotated[bool, typer.Option(help="Also the answer as it was sent.")] = False,
    json: Json = False,
) -> None:
    """Show every answer about an item, with units, arguments and rationale; or a whole prompt."""
    from emoframe.weak_labels.store import LabelStore

    with LabelStore(store, write=False) as opened:
        found = [
            one
            for one in found_in(opened)
            if what == one.item or (len(what) > 3 and one.answer.key.clip.startswith(what))
        ]
        prompt = None if found else _prompt(opened, what)
    if json:
        as_json(_whole(prompt) if prompt else [asdict(one) for one in found])
        return
    for line in _told(prompt) if prompt else (line for one in found for line in _answer(one, raw)):
        say(line)


def _whole(prompt: Prompt) -> dict[str, Any]:
    return {**asdict(prompt), "hash": prompt.hash}


def _prompt(store: LabelStore, what: str) -> Prompt:
    from emoframe.weak_labels.exchange.names import find_prompt

    try:
        return find_prompt(store, what)
    except DataError as error:
        if "several" in str(error):
            raise
        raise DataError(
            f"{store.path}: {what!r} is no item with an answer, no clip and no prompt; "
            "`emoframe labels ls` lists them"
        ) from error


def _told(prompt: Prompt) -> Iterator[str]:
    yield f"prompt {prompt.name}, {prompt.hash}"
    yield f"classes: {', '.join(prompt.classes)}; shown: {asdict(prompt.show)}"
    yield f"\n{prompt.system}\n\n{prompt.text}"


def _answer(one: Listed, raw: bool) -> Iterator[str]:
    from emoframe.weak_labels.exchange.names import prompt_name

    answer, reply = one.answer, one.answer.reply
    marks = "".join(f"  [{mark}]" for mark in one.marks)
    named = " ".join(filter(None, (one.dataset or "(no data set)", one.item)))
    yield f"{named}  clip {answer.key.clip[:12]}{marks}"
    yield f"  {prompt_name(one.prompt)}  {one.labeler.name}  sample {answer.key.sample}"
    yield f"  {answer.status} {answer.reason}".rstrip()
    if reply is not None:
        ended = f"ended by {' '.join(filter(None, (reply.finish, reply.reason)))}"
        used = [f"{count} {name}" for name, count in asdict(reply.usage).items() if count]
        tokens = f"tokens: {', '.join(used)}" if used else ""
        yield f"  {'; '.join(filter(None, (reply.model, ended, tokens)))}"
    money = "price unknown" if answer.usd is None else f"${answer.usd:.4f}"
    calls = f"{answer.calls} call{'s' * (answer.calls != 1)}"
    yield f"  {money}, {calls}, {_when(answer)}"
    if answer.label is not None:
        yield from _label(answer.label)
    if raw and reply is not None:
        yield f"\n{reply.text}"
    yield ""


def _when(answer: Answer) -> str:
    """Say when it was asked and answered, UTC; the date once where it is the same."""
    asked, told = answer.asked_at[:19].split("T"), answer.answered_at[:19].split("T")
    if asked == told:
        return " ".join(told)
    return f"{' '.join(asked)} to {told[-1] if asked[0] == told[0] else ' '.join(told)}"


def _label(label: WeakLabel) -> Iterator[str]:
    from emoframe.weak_labels.answers.rationale import untimed

    verdict = "abstains" if label.label is None else label.classes[label.label]
    stated = zip(label.classes, label.confidence or (), strict=False)
    told = ", ".join(f"{name} {share:.2f}" for name, share in stated)
    yield f"  {verdict}  {told}".rstrip()
    for n, unit in enumerate(label.units):
        more: list[Any] = [
            unit.side,
            unit.intensity,
            "/".join(unit.emotions),
            untimed(unit, unit.evidence),
        ]
        told = f"{unit.system} {unit.code} {unit.name}".rstrip() + f", {unit.confidence:.2f}"
        yield (
            f"    {n}: {unit.start_s:.2f}-{unit.end_s:.2f} s  "
            f"{', '.join([told, *(str(text) for text in more if text)])}"
        )
    for one in label.evidence:
        cited = ", ".join([*map(str, one.units), *one.rules])
        weight = "; ".join(filter(None, (f"{one.weight:.2f}", cited)))
        yield f"    for {one.label} ({weight}): {one.text}"
    for one in label.corrections:
        yield f"    corrected after {one.rule}: {one.text}"
    for text in label.notes:
        yield f"    note: {text}"
    if label.rationale:
        yield f"\n{label.rationale}"
