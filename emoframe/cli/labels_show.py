"""`emoframe labels show`: all that was asked and answered about one item, or one prompt whole."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from emoframe.cli.labels_options import Store, found_in, harmless
from emoframe.cli.output import Json, as_json, say
from emoframe.core.errors import DataError

if TYPE_CHECKING:
    from emoframe.labelling import Prompt, WeakLabel
    from emoframe.weak_labels.exchange.listing import Listed
    from emoframe.weak_labels.store import LabelStore

What = Annotated[
    str,
    typer.Argument(
        metavar="WHAT", help="An item, or the beginning of the hash of a clip or a prompt."
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
        say(harmless(line))


def _whole(prompt: Prompt) -> dict[str, Any]:
    return {**asdict(prompt), "hash": prompt.hash}


def _prompt(store: LabelStore, what: str) -> Prompt:
    try:
        return store.prompt(what)
    except DataError as error:
        raise DataError(
            f"{store.path}: {what!r} is no item with an answer, no clip and no prompt; "
            "`emoframe labels ls` lists them"
        ) from error


def _told(prompt: Prompt) -> Iterator[str]:
    yield f"prompt {prompt.name}, {prompt.hash}"
    yield f"classes: {', '.join(prompt.classes)}; shown: {asdict(prompt.show)}"
    yield f"\n{prompt.system}\n\n{prompt.text}"


def _answer(one: Listed, raw: bool) -> Iterator[str]:
    answer, reply = one.answer, one.answer.reply
    marks = "".join(f"  [{mark}]" for mark in one.marks)
    yield f"{one.dataset or '(no data set)'} {one.item}  clip {answer.key.clip[:12]}{marks}"
    yield f"  {one.prompt.name}@{answer.key.prompt[:8]}  {one.labeler.name}  #{answer.key.sample}"
    yield f"  {answer.status} {answer.reason}".rstrip()
    if reply is not None:
        usage = ", ".join(f"{name} {count}" for name, count in asdict(reply.usage).items())
        yield f"  {reply.model or 'unknown model'}, {reply.finish} {reply.reason}; tokens: {usage}"
    money = "price unknown" if answer.usd is None else f"${answer.usd:.4f}"
    yield f"  {money}, {answer.calls} calls, {answer.asked_at[:19]} to {answer.answered_at[:19]}"
    if answer.label is not None:
        yield from _label(answer.label)
    if raw and reply is not None:
        yield f"\n{reply.text}"
    yield ""


def _label(label: WeakLabel) -> Iterator[str]:
    verdict = "abstains" if label.label is None else label.classes[label.label]
    stated = zip(label.classes, label.confidence or (), strict=False)
    yield f"  {verdict}  {', '.join(f'{name} {share:.2f}' for name, share in stated)}"
    for n, unit in enumerate(label.units):
        more: list[Any] = [unit.side, unit.intensity, "/".join(unit.emotions), unit.evidence]
        told = f"{unit.system} {unit.code} {unit.name}, {unit.confidence:.2f}"
        yield (
            f"    {n}: {unit.start_s:.2f}-{unit.end_s:.2f} s  "
            f"{', '.join([told, *(str(text) for text in more if text)])}"
        )
    for one in label.evidence:
        cited = ", ".join([*map(str, one.units), *one.rules])
        yield f"    for {one.label} ({one.weight:.2f}; {cited}): {one.text}"
    for one in label.corrections:
        yield f"    corrected after {one.rule}: {one.text}"
    for text in label.notes:
        yield f"    note: {text}"
    yield f"\n{label.rationale}"
