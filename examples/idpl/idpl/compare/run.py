"""Does the runs of a comparison, several at a time if asked; what is done is not done again."""

import dataclasses
import json
import math
import multiprocessing
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from idpl.accuracy import Accuracy
from idpl.checkpoint import store
from idpl.compare.plan import Cell
from idpl.errors import IdplError
from idpl.together import Together
from idpl.training.loop import CHECKPOINTS, RESULT, Surroundings, train
from idpl.training.progress import ProgressLine
from idpl.training.sets import classes_of, open_sets
from idpl.training.stages import no_stage

Done = Callable[[Cell, Accuracy], None]


def run_all(cells: Sequence[Cell], jobs: int, threads: int, done: Done) -> None:
    """Do all runs, the warm-ups first. Raises the first `IdplError` that one meets."""
    first_of_seed = {cell.warm_up: cell for cell in cells}
    quiet = jobs > 1
    _each(_warm_up, list(first_of_seed.values()), jobs, threads, quiet, lambda _cell, _found: None)
    _each(_adapt, list(cells), jobs, threads, quiet, done)


_Work = Callable[[Cell, int, bool], Accuracy | None]


def _each(
    work: _Work,
    cells: list[Cell],
    jobs: int,
    threads: int,
    quiet: bool,
    done: Callable[[Cell, Accuracy], None],
) -> None:
    if jobs == 1:
        for cell in cells:
            if (found := work(cell, threads, quiet)) is not None:
                done(cell, found)
        return
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        waiting = [(cell, pool.apply_async(work, (cell, threads, quiet))) for cell in cells]
        for cell, result in waiting:
            if (found := result.get()) is not None:
                done(cell, found)


def _warm_up(cell: Cell, threads: int, quiet: bool) -> None:
    """Train a seed's network on the source alone, once for all of its methods."""
    warmup = cell.config.training.warmup
    if warmup == 0 or any(place.name.endswith(f"{warmup:06d}") for place in _saved(cell.warm_up)):
        return
    method = dataclasses.replace(cell.config.method, name="source-only")
    config = dataclasses.replace(cell.config, method=method)
    _train(dataclasses.replace(cell, config=config, out=cell.warm_up), threads, quiet, warmup)


def _adapt(cell: Cell, threads: int, quiet: bool) -> Accuracy:
    known = read_result(cell)
    return _train(cell, threads, quiet, None) if known is None else known


def _saved(run: Path) -> list[Path]:
    return store.saved(run / CHECKPOINTS)


def _train(cell: Cell, threads: int, quiet: bool, until: int | None) -> Accuracy:
    torch.set_num_threads(threads)
    line = ProgressLine(quiet=quiet)
    start = None
    if until is None and cell.config.training.warmup:
        start = _saved(cell.warm_up)[-1]
    around = Surroundings(Together(), line, no_stage, start, until)
    try:
        return train(cell.config, open_sets(cell.config, line.show), cell.out, around)
    except IdplError as error:
        # Which of many runs it was; subclasses keep their exit status.
        raise type(error)(
            f"{cell.variant}, seed {cell.config.seed}: {error}", hint=error.hint
        ) from (error)


def read_result(cell: Cell) -> Accuracy | None:
    """Return what a finished run has written, or None."""
    try:
        document = json.loads((cell.out / RESULT).read_text(encoding="utf-8"))
        if document["step"] != cell.config.training.steps:
            return None
        classes = classes_of(cell.config)
        values = [document["classes"][name] for name in classes.names]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return Accuracy(classes, tuple(math.nan if value is None else float(value) for value in values))


def say_done(cell: Cell, found: Accuracy) -> None:
    """Write a line about a run that is done."""
    sys.stderr.write(
        f"{cell.variant}, seed {cell.config.seed}:"
        f" mean {100 * found.mean():.1f}, hard classes {100 * found.hard_mean():.1f}\n"
    )
    sys.stderr.flush()
