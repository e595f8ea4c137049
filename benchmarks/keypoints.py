"""Time and memory of one training step over long keypoint clips, as ratios in one run.

    python benchmarks/keypoints.py                     # 4000 frames, one clip a step, 3 steps
    python benchmarks/keypoints.py --frames 512 --batch 4

Each side runs in a process of its own, so that its peak memory is its own; all sides have the same
clips, width, depth, heads, dropout, groups, batch and precision, and each step is forward,
backward, clipping and AdamW. Peers: a loop written by hand over the same mathematics (it must give
the same loss, and the script stops if it does not), torch_geometric's GCNConv over a batch of
sparse graphs, and GCNConv followed by torch.nn.TransformerEncoder over every frame.
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from mmengine.optim import OptimWrapper
from peers import DIM, DROPOUT, HEADS, LAYERS, NODE, Batch, ByHand, GraphPeer, Peer
from rich.console import Console
from rich.table import Table
from torch import nn
from torch.utils.data import DataLoader

import emoframe
from emoframe import api
from emoframe.learning.clips import collate
from emoframe.learning.data import prepare
from emoframe.learning.experiment import Branch
from emoframe.learning.model import Recognizer, Wiring
from emoframe.records import Target
from emoframe.skeleton import OPENPOSE_137

PATCH = 12
"""Frames of a token of the fast path: less than half a second at 25 frames a second."""


def clips(frames: int, count: int) -> Batch:
    """Return a batch of clips with a tenth of the joints masked, as `collate` gives them."""
    generator = torch.Generator().manual_seed(0)
    mask = torch.rand(count, frames, 137, generator=generator) > 0.1
    x = torch.randn(count, frames, 137, 11, generator=generator) * 0.1
    x[..., 8:] = mask[..., None].float()
    return {
        "inputs": {"keypoints": x * mask[..., None]},
        "masks": {"keypoints": mask},
        "times": {"keypoints": torch.arange(frames).expand(count, -1) / 25.0},
        "present": {"keypoints": torch.ones(count, dtype=torch.bool)},
        "target": Target(
            torch.eye(2)[torch.arange(count) % 2],
            torch.ones(count),
            torch.zeros(count, dtype=torch.bool),
            torch.arange(count),
        ),
    }


def recognizer(backbone: str, encoder: str) -> Recognizer:
    """Return emoframe's model of two parts, wired as in training."""
    torch.manual_seed(0)
    backbones = {"mlp": {"hidden": DIM, "layers": 2, "dropout": DROPOUT}}
    branch = Branch(
        keypoint_backbone={"type": backbone, **backbones.get(backbone, {"hidden": DIM})},
        temporal_encoder={
            "type": encoder, "dim": DIM, "layers": LAYERS, "heads": HEADS, "dropout": DROPOUT,
            **({"patch": PATCH} if encoder == "patch_transformer" else {}),
        },
    )  # fmt: skip
    model = replace(api.load("quickstart").model, branches={"keypoints": branch})
    return Recognizer(model, Wiring(OPENPOSE_137, 2, 3, (50, 50)))


class GraphsAlone(nn.Module):
    """The graph networks of all groups and nothing else; the loss is the mean square."""

    def __init__(self, graphs: nn.ModuleList, masked: bool) -> None:
        super().__init__()
        self.graphs, self.masked = graphs, masked

    def forward(self, batch: Batch) -> torch.Tensor:
        """Return the loss."""
        x, mask = batch["inputs"]["keypoints"], batch["masks"]["keypoints"]
        loss = torch.zeros(())
        for joints, graph in zip(OPENPOSE_137.groups.values(), self.graphs, strict=True):
            part = slice(joints[0], joints[-1] + 1)
            h = graph(x[:, :, part], mask[:, :, part]) if self.masked else graph(x)
            loss = loss + (h**2).mean()
        return loss


def dense_graphs() -> nn.Module:
    """Return emoframe's `gcn` for every group."""
    graphs = [
        emoframe.build(
            "keypoint_backbone", "gcn", num_joints=len(OPENPOSE_137.groups[group]), in_channels=11,
            edges=OPENPOSE_137.group_edges(group), channels=NODE, hidden=DIM, layers=2,
        )
        for group in OPENPOSE_137.groups
    ]  # fmt: skip
    return GraphsAlone(nn.ModuleList(graphs), True)


def sparse_graphs() -> nn.Module:
    """Return torch_geometric's GCNConv for every group."""
    return GraphsAlone(nn.ModuleList(GraphPeer(group) for group in OPENPOSE_137.groups), False)


SIDES: dict[str, Callable[[], nn.Module]] = {
    "mlp + transformer": lambda: recognizer("mlp", "transformer"),
    "the same by hand": ByHand,
    "gcn, dense": dense_graphs,
    "GCNConv, sparse": sparse_graphs,
    "mlp + patch_transformer": lambda: recognizer("mlp", "patch_transformer"),
    "gcn + patch_transformer": lambda: recognizer("gcn", "patch_transformer"),
    "GCNConv + nn.TransformerEncoder": Peer,
}
RATIOS = (
    ("mlp + transformer", "the same by hand"),
    ("GCNConv, sparse", "gcn, dense"),
    ("GCNConv + nn.TransformerEncoder", "mlp + transformer"),
    ("GCNConv + nn.TransformerEncoder", "gcn + patch_transformer"),
    ("GCNConv + nn.TransformerEncoder", "mlp + patch_transformer"),
)


def check_same_mathematics(batch: Batch) -> None:
    """Stop unless the loop by hand gives emoframe's loss with emoframe's weights."""
    ours, other = recognizer("mlp", "transformer"), ByHand()
    # the vector for a missing branch is never used here, and nobody writes it by hand
    used = [p for name, p in ours.named_parameters() if "fusion_head.missing" not in name]
    for own, theirs in zip(used, other.parameters(), strict=True):
        if own.shape != theirs.shape:
            raise SystemExit(f"the loop by hand has {theirs.shape} where emoframe has {own.shape}")
        theirs.data.copy_(own.data)
    ours.eval()
    other.eval()
    with torch.inference_mode():
        losses = float(ours(**batch, mode="loss")["loss"]), float(other(batch))
    if not math.isclose(*losses, rel_tol=1e-4):
        raise SystemExit(f"emoframe's loss is {losses[0]}, by hand it is {losses[1]}")


def measure(name: str, frames: int, count: int, steps: int) -> dict[str, Any]:
    """Train a side for some steps after one to warm up; time and memory beyond the clips'."""
    batch, model = clips(frames, count), SIDES[name]()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    wrapper = OptimWrapper(optimizer, clip_grad={"max_norm": 1.0})
    seconds: list[float] = []
    for _ in range(steps + 1):
        start = time.perf_counter()
        if isinstance(model, Recognizer):
            model.train_step(batch, wrapper)
        else:
            optimizer.zero_grad()
            model(batch).backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
        seconds.append(time.perf_counter() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    return {
        "seconds": statistics.median(seconds[1:]),
        "mib": peak / 1024,
        "parameters": sum(p.numel() for p in model.parameters()),
    }


def waiting(frames: int, count: int, steps: int = 12) -> float:
    """Return the share of a training step's time that is spent waiting for two loader workers.

    They fetch one batch each ahead, so that twelve steps are far beyond what lay ready. The network
    is the fast one; a slower one waits for less.
    """
    # validation takes a part of the videos; two batches more than are used keep the workers busy
    videos = max(160, 2 * count * (steps + 3))
    overrides = [
        f"dataset.frames={frames}", f"dataset.train={videos}", f"view.keypoints.frames={frames}",
    ]  # fmt: skip
    experiment = api.load("quickstart", overrides)
    data = prepare(experiment)
    model = recognizer("mlp", "patch_transformer")
    wrapper = OptimWrapper(torch.optim.AdamW(model.parameters(), lr=1e-4))
    wait, work = 0.0, 0.0
    loader = DataLoader(data.train, count, num_workers=2, prefetch_factor=1, collate_fn=collate)
    batches = iter(loader)
    next(batches)  # the workers start
    for _ in range(steps):
        start = time.perf_counter()
        batch = next(batches)
        middle = time.perf_counter()
        model.train_step(batch, wrapper)
        wait, work = wait + middle - start, work + time.perf_counter() - middle
    return wait / (wait + work)


def run_sides(arguments: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Measure every side in a process of its own."""
    found = {}
    for name in SIDES:
        command = [sys.executable, __file__, "--side", name]
        for key in ("frames", "batch", "steps"):
            command += [f"--{key}", str(getattr(arguments, key))]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        found[name] = json.loads(done.stdout.splitlines()[-1])
    return found


def ratio(found: dict[str, dict[str, Any]], one: str, other: str, of: str) -> str:
    """Return how much more one side needs; few frames fit into what the imports left free."""
    below = found[other][of]
    return f"{found[one][of] / below:.2f}" if below else "n/a"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=4000)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--side", choices=SIDES)
    arguments = parser.parse_args()
    if arguments.side:
        measured = measure(arguments.side, arguments.frames, arguments.batch, arguments.steps)
        sys.stdout.write(json.dumps(measured) + "\n")
        return
    check_same_mathematics(clips(64, 2))
    found = run_sides(arguments)
    console = Console(width=110)
    title = (
        f"{arguments.batch} clips of {arguments.frames} frames, 3 groups, {arguments.steps} steps"
    )
    table = Table("side", "parameters", "s a step", "peak MiB", title=title)
    for name, row in found.items():
        table.add_row(name, str(row["parameters"]), f"{row['seconds']:.2f}", f"{row['mib']:.0f}")
    console.print(table)
    ratios = Table("time and memory of", "over", "time", "memory")
    for one, other in RATIOS:
        ratios.add_row(one, other, *(ratio(found, one, other, of) for of in ("seconds", "mib")))
    console.print(ratios)
    share = waiting(arguments.frames, arguments.batch)
    console.print(f"waiting for 2 loader workers: {share:.1%} of a step of the fast path")


if __name__ == "__main__":
    main()
