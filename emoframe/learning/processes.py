"""Several processes that train one model, as torchrun starts them: who writes, and who waits.

Decided here: the first process alone writes; the others read what it wrote. One process is the
case of no group, in which nothing here does anything. Waits have no end: torchrun ends all
processes when one fails, and a stage that another training is busy with may take days.
"""

from __future__ import annotations

import os
import time
from collections.abc import Generator
from contextlib import contextmanager
from datetime import timedelta
from itertools import chain, zip_longest
from typing import Any

import torch
from torch import distributed

from emoframe.core.errors import EmoframeError

FOREVER = timedelta(days=365)
GRACE_S = 5.0
"""Time for the first process to say what is wrong with all of them, and so to end the others."""


def started_by_torchrun() -> bool:
    """Whether torchrun started this process as one of several."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1 and "LOCAL_RANK" in os.environ


def grouped() -> bool:
    """Whether there are other processes to share work with."""
    return count() > 1


def count() -> int:
    """Return the number of processes that share the work."""
    known = distributed.is_available() and distributed.is_initialized()
    return distributed.get_world_size() if known else 1


def rank() -> int:
    """Return the number of this process, from 0 on."""
    return distributed.get_rank() if grouped() else 0


def leading() -> bool:
    """Whether this process is the one that writes."""
    return rank() == 0


@contextmanager
def joined() -> Generator[bool]:
    """Join the processes that torchrun started, while the block runs, each with a GPU if it has.

    An error is told by each process in which it happened; where all fail alike, by the first alone.

    Yields:
        Whether this process is the one that writes.
    """
    if not started_by_torchrun() or distributed.is_initialized():
        yield leading()
        return
    # mmengine would do the same, with a warning from each process
    os.environ.setdefault("MKL_NUM_THREADS", os.environ.get("OMP_NUM_THREADS", "1"))
    backend = "gloo"
    if torch.cuda.is_available():
        backend = "nccl"
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    distributed.init_process_group(backend, timeout=FOREVER)
    try:
        yield leading()
    except EmoframeError:
        if not leading():
            time.sleep(GRACE_S)
        raise
    distributed.destroy_process_group()  # after an error others may wait in it without end


def together() -> None:
    """Wait for all processes."""
    if grouped():
        distributed.barrier()


@contextmanager
def leader_first() -> Generator[None]:
    """Let the first process run the block, or the function, before the others do."""
    if not leading():
        together()
    yield
    if leading():
        together()


def add_up(x: torch.Tensor) -> torch.Tensor:
    """Return the sum of x over all processes, in place."""
    if grouped():
        distributed.all_reduce(x)
    return x


def average(value: float) -> float:
    """Return the mean of a number over all processes; the number itself where there is one."""
    if not grouped():
        return value
    device = "cuda" if distributed.get_backend() == "nccl" else "cpu"
    whole = add_up(torch.tensor([value], dtype=torch.float64, device=device))
    return float(whole) / count()


def dealt_back(own: list[Any]) -> list[Any]:
    """Return what was dealt to all processes in turn, in its order; none of it may be None."""
    if not grouped():
        return list(own)
    found: list[list[Any]] = [[] for _ in range(count())]
    distributed.all_gather_object(found, own)
    return [one for one in chain(*zip_longest(*found)) if one is not None]
