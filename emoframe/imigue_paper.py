"""The whole paper on a copy of iMiGUE, by one command that may be started again at any time.

    make imigue ROOT=FOLDER
    python -m emoframe.imigue_paper FOLDER [key=value ...]

Decided here: it is a row of the ordinary commands and keeps no book of its own. Each of them finds
by itself what is done, so that a killed, failed or finished chain is started again as it was, and
goes on. It stops before the first question to a labeler and says what all of them cost at most;
`--label` or a budget is the word to go on, and leave to upload is never taken for granted. Where
the copy has OpenPose's skeletons, as the paper, those are read; else keypoints are measured.
"""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from emoframe import api
from emoframe.cli.labels_options import usd_told
from emoframe.cli.output import note
from emoframe.core.errors import EXIT_DONE, EXIT_MISTAKE, EXIT_SOME_FAILED, EmoframeError
from emoframe.core.files import write_text
from emoframe.learning.datasets.imigue_files import find_files
from emoframe.learning.datasets.imigue_skeletons import CONVERTED, Skeletons

CONFIG = "w2s/paper"
TABLE, TABLES = "ablations/paper_table", (1, 2, 3)
XCLIP = "perception.frame_encoders.xclip={type: xclip}"
"""What Table 2 reads beside the features of the others."""
CONSENT = (
    "say LABEL=yes or BUDGET=DOLLARS, and where videos leave this machine I_MAY_UPLOAD=imigue and "
    "SET=privacy.upload=allowed, if you may"
)
AGAIN = "then start the same command again: what is done is not done twice"
Execute = Callable[[Sequence[str], bool], tuple[int, str]]
"""Runs `emoframe` with some arguments; returns the exit code, and what it printed if asked for."""


@dataclass(frozen=True)
class Chain:
    """What is wanted of the whole chain.

    Attributes:
        root: Folder of the copy.
        overrides: `key=value` items for every command.
        folder: Where the tables and the report go.
        label: Whether the labeler may be asked, whatever it costs.
        budget: Most US dollars that the label store may have spent; with one, it may be asked.
        i_may_upload: Name of the data set, where the user accepts its terms.
        go_on: Whether to go on where some videos or rows have failed.
        seeds: Seeds of each row; None for what the tables say.
        jobs: Trainings at once.
        workers: Processes that extract; None for one per core.
    """

    root: Path
    overrides: Sequence[str] = ()
    folder: Path = Path("runs/imigue")
    label: bool = False
    budget: float | None = None
    i_may_upload: str = ""
    go_on: bool = False
    seeds: int | None = None
    jobs: int = 1
    workers: int | None = None


@dataclass(frozen=True)
class Step:
    """One command of the chain.

    Attributes:
        name: What it is called in what is told.
        command: The arguments of `emoframe`.
        remedy: What to do where it fails.
        may_lack: Whether the chain goes on where some of its items failed (exit code 1).
    """

    name: str
    command: Sequence[str]
    remedy: str
    may_lack: bool = False


@dataclass
class _Chained:
    """The chain at work."""

    chain: Chain
    execute: Execute
    tell: Callable[[str], None]
    given: list[str] = field(init=False)

    def __post_init__(self) -> None:
        own = [f"dataset.root={self.chain.root}", *keypoints(self.chain.root)]
        named = {item.partition("=")[0] for item in self.chain.overrides}
        self.given = [item for item in own if item.partition("=")[0] not in named]
        self.given += self.chain.overrides

    @property
    def seeds(self) -> list[str]:
        """The option that says how many seeds, where the user does."""
        return [] if self.chain.seeds is None else ["--seeds", str(self.chain.seeds)]

    def run(self) -> int:
        """Go through all steps; return the exit code."""
        before, after = self.steps()
        steps: list[Callable[[], int]] = [partial(self.take, step) for step in before]
        steps += [self.labels, *(partial(self.take, step) for step in after)]
        for step in steps:
            if code := step():
                return code
        page = report(self.chain.folder)
        self.tell(f"imigue: all three tables are in {page}")
        return EXIT_DONE

    def steps(self) -> tuple[list[Step], list[Step]]:
        """Return the steps before the labeler is asked, and those after."""
        chain, root = self.chain, str(self.chain.root)
        whole = "mend or complete the copy (docs/imigue.md), or go on with what is there by "
        before = [
            Step(
                "check", ["data", "check", root], f"{whole}SET=dataset.allow_missing=true",
                "dataset.allow_missing=true" in self.given,
            )
        ]  # fmt: skip
        if skeletons_of(chain.root).unconverted:
            remedy = "copy the files again that it names"
            before.append(Step("convert", ["data", "convert", root], remedy, chain.go_on))
        else:
            self.tell("imigue: convert: there is nothing to convert")
        tables = [word for number in TABLES for word in ("--ablation", f"{TABLE}{number}")]
        plan = ["plan", CONFIG, *self.given, *tables, *self.seeds, "--runs", str(chain.folder)]
        before += [Step("plan", plan, "mend the config"), self.extraction("extract")]
        brought = any(item.startswith("perception.frame_encoders.xclip") for item in self.given)
        own = [] if brought else [XCLIP]
        after = [self.table(1), self.table(3), self.extraction("extract xclip", own), self.table(2)]
        return before, after

    def extraction(self, name: str, more: Sequence[str] = ()) -> Step:
        """Return the step that extracts; a further encoder finds the other stages done."""
        workers = self.chain.workers
        how = [] if workers is None else ["--workers", str(workers)]
        remedy = "mend the videos that it names, or go on without them by GO_ON=yes"
        return Step(name, ["extract", CONFIG, *self.given, *more, *how], remedy, self.chain.go_on)

    def table(self, number: int) -> Step:
        """Return the step that trains a table and opens test for it."""
        chain = self.chain
        folder = str(chain.folder / f"table{number}")
        how = ["--run", folder, "--test", f"table {number} of the paper", *self.seeds]
        command = ["ablate", f"{TABLE}{number}", *self.given, *how, "--jobs", str(chain.jobs)]
        remedy = "mend what it says of its rows, or go on without them by GO_ON=yes"
        return Step(f"table {number}", command, remedy, chain.go_on)

    def take(self, step: Step) -> int:
        """Take one step; return the exit code to end with, 0 to go on."""
        self.tell(f"imigue: {step.name}: emoframe {shlex.join(step.command)}")
        code, _ = self.execute(step.command, False)
        if code == EXIT_SOME_FAILED and step.may_lack:
            self.tell(f"imigue: {step.name}: went on without what failed")
            return EXIT_DONE
        if code:
            self.tell(f"imigue: {step.name} failed (exit code {code}): {step.remedy}; {AGAIN}")
        return code

    def labels(self) -> int:
        """Ask the labeler, if the user has said so; return the exit code to end with."""
        chain = self.chain
        settings = api.load(CONFIG, self.given).weak_labels
        if settings and settings.labeler:
            self.tell(f"imigue: label: labels are those of {settings.labeler!r} in the store")
            return EXIT_DONE
        code, text = self.execute(["label", CONFIG, *self.given, "--plan", "--json"], True)
        if code:
            self.tell(f"imigue: label --plan failed (exit code {code}): mend that; {AGAIN}")
            return code
        plan = json.loads(text)
        if not plan["questions"]:
            self.tell(f"imigue: label: all {plan['answered']} questions have ended")
            return EXIT_DONE
        self.tell(
            f"imigue: label: {plan['questions']} questions to {plan['labeler']} are left, at most "
            f"{usd_told(plan['usd'])} beside {usd_told(plan['spent'])} spent"
        )
        if chain.label or chain.budget is not None:
            return self.take(self.asking())
        self.tell(f"imigue: stopped before the first question: {CONSENT}; {AGAIN}")
        return EXIT_SOME_FAILED

    def asking(self) -> Step:
        """Return the step that asks the labeler."""
        chain = self.chain
        budget = [] if chain.budget is None else ["--budget", str(chain.budget)]
        leave = ["--i-may-upload", chain.i_may_upload] if chain.i_may_upload else []
        remedy = (
            "open questions are asked again by the same command; what has ended without an answer "
            "stays so, go on without it by GO_ON=yes"
        )
        return Step("label", ["label", CONFIG, *self.given, *budget, *leave], remedy, chain.go_on)


def skeletons_of(root: Path) -> Skeletons:
    """Return the skeletons of OpenPose that a copy has.

    Raises:
        DataError: There is no such folder.
    """
    return Skeletons(find_files(root), "openpose_137", root / CONVERTED)


def keypoints(root: Path) -> list[str]:
    """Return the overrides by which a copy's skeletons are read, or keypoints are measured.

    Raises:
        DataError: There is no such folder.
    """
    if skeletons_of(root).ids:
        return ["features.keypoints=dataset", "perception.pose_estimator=null"]
    return ["dataset.keypoints=none"]


def report(folder: Path) -> Path:
    """Put the pages of the tables into one, and return it.

    Raises:
        OSError: One is not there.
    """
    files = (folder / f"table{number}" / "ablation-test.html" for number in TABLES)
    pages = [file.read_text(encoding="utf-8") for file in files]
    bodies = [page.partition("<body>")[2].rpartition("</body>")[0] for page in pages]
    out = folder / "report.html"
    write_text(out, f"{pages[0].partition('<body>')[0]}<body>{''.join(bodies)}</body>\n</html>\n")
    return out


def run(chain: Chain, execute: Execute | None = None, tell: Callable[[str], None] = note) -> int:
    """Take all steps of the paper that are not done.

    Args:
        chain: What is wanted.
        execute: Runs a command; None starts `emoframe` in a process of its own.
        tell: Told what is done, and what to do where it stops.

    Returns:
        The exit code: 0 where all is done, 1 where it waits for the user's word or some items
        failed, 2 for a mistake.

    Raises:
        EmoframeError: The copy or the config cannot be used.
    """
    return _Chained(chain, execute or _execute, tell).run()


def _execute(arguments: Sequence[str], capture: bool) -> tuple[int, str]:
    command = [sys.executable, "-m", "emoframe", *arguments]
    done = subprocess.run(
        command, stdout=subprocess.PIPE if capture else None, text=True, check=False
    )
    return done.returncode, done.stdout or ""


def command(
    root: Annotated[Path, typer.Argument(help="Folder of the copy of iMiGUE.")],
    overrides: Annotated[list[str] | None, typer.Argument(help="key=value items.")] = None,
    folder: Annotated[Path, typer.Option(help="Where tables go.")] = Path("runs/imigue"),
    label: Annotated[bool, typer.Option("--label", help="Ask the labeler.")] = False,
    budget: Annotated[
        float | None, typer.Option(min=0, help="Ask it, up to so many US dollars.")
    ] = None,
    i_may_upload: Annotated[str, typer.Option(help="`imigue`: you accept its terms.")] = "",
    go_on: Annotated[bool, typer.Option("--go-on", help="Go on without what failed.")] = False,
    seeds: Annotated[int | None, typer.Option(min=1, help="Seeds of each row.")] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Trainings at once.")] = 1,
    workers: Annotated[int | None, typer.Option(min=0, help="Processes that extract.")] = None,
) -> None:
    """Check, convert, extract, label and train: the three tables of the paper on iMiGUE."""
    chain = Chain(
        root, overrides or (), folder, label, budget, i_may_upload, go_on, seeds, jobs, workers
    )
    try:
        code = run(chain)
    except EmoframeError as error:
        note(f"emoframe: {error}")
        code = EXIT_MISTAKE
    raise typer.Exit(code)


if __name__ == "__main__":
    typer.run(command)
