"""What the commands do once PyTorch is there."""

import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from idpl.accuracy import Accuracy, evaluate
from idpl.checkpoint import sharded, store
from idpl.checkpoint.manifest import NAME as MANIFEST
from idpl.checkpoint.snapshot import Snapshot
from idpl.compare import plan as plans
from idpl.compare.run import run_all, say_done
from idpl.compare.table import table
from idpl.config import Config, config_from
from idpl.errors import CheckpointError, ConfigError
from idpl.frequencies import frequencies, never_seen
from idpl.network.build import build_network
from idpl.page.gather import gather
from idpl.page.render import render
from idpl.together import join
from idpl.training.loop import CHECKPOINTS, Surroundings, train
from idpl.training.progress import ProgressLine
from idpl.training.sets import Sets, classes_of, open_pictures, open_sets
from idpl.training.stages import Stage
from idpl.training.state import load_tensors


def run_training(config: Config, out: Path, threads: int, stage: Stage) -> int:
    """Train, print how well it went. Returns the exit status; raises `IdplError`s."""
    _prepare(config, threads)
    together = join(config.training.device)
    try:
        if config.training.batch % (2 * together.share.world):
            raise ConfigError(
                f"training.batch {config.training.batch} cannot be shared by"
                f" {together.share.world} processes in pairs",
                hint="use a multiple of twice the number of processes",
            )
        line = ProgressLine(quiet=not together.leads)
        sets = open_sets(config, line.show, line.say)
        _warn(sets, line)
        if together.share.world > 1 and not sharded.available():
            version = torch.__version__
            line.say(f"PyTorch {version} has no shards: the first process writes checkpoints whole")
        found = train(config, sets, out, Surroundings(together, line, stage))
        if together.leads:
            sys.stdout.write(as_text(found))
    finally:
        together.leave()
    return 0


def run_evaluation(run: Path, threads: int) -> int:
    """Print how well a run's teacher does. Returns the exit status; raises `IdplError`s."""
    line = ProgressLine()
    snapshot = find_snapshot(run, line)
    config = config_from(snapshot.config, f"{run}: configuration")
    _prepare(config, threads)
    classes = classes_of(config)
    teacher = build_network(config.network, len(classes)).to(config.training.device)
    load_tensors(teacher, snapshot.part("teacher"), "teacher")
    pictures = open_pictures(config.evaluation, (config.height, config.width), line.show)
    sys.stdout.write(as_text(evaluate(teacher, pictures, classes, config.training.device)))
    return 0


def run_show(run: Path, file: Path, before: Path | None, pictures: int, threads: int) -> int:
    """Write the page of a run. Returns the exit status; raises `IdplError`s."""
    line = ProgressLine()
    snapshot = find_snapshot(run, line)
    earlier = None if before is None else find_snapshot(before, line)
    config = config_from(snapshot.config, f"{run}: configuration")
    _prepare(config, threads)
    sets = open_sets(config, line.show, line.say)
    page = render(gather(run, snapshot, earlier, config, sets, pictures))
    try:
        file.write_text(page, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror}") from error
    return 0


def run_comparison(
    config: Config,
    out: Path,
    *,
    names: Sequence[str],
    seeds: int,
    quick: bool,
    jobs: int,
    threads: int,
) -> int:
    """Compare methods, print the table. Returns the exit status; raises `IdplError`s."""
    config = plans.quick(config) if quick else config
    _prepare(config, threads)
    names = names or list(plans.VARIANTS)
    line = ProgressLine()
    open_sets(config, line.show, line.say)  # rendered here once, not in every job
    results: dict[str, list[Accuracy]] = {name: [] for name in names}

    def done(cell: plans.Cell, found: Accuracy) -> None:
        results[cell.variant].append(found)
        say_done(cell, found)

    started = time.monotonic()
    run_all(plans.plan(config, out, range(1, seeds + 1), names), jobs, threads, done)
    text = table(results, classes_of(config))
    (out / "table.md").write_text(text, encoding="utf-8")
    sys.stdout.write(text)
    minutes = (time.monotonic() - started) / 60
    line.say(f"{len(names)} methods, seeds 1 to {seeds}, {minutes:.1f} minutes")
    return 0


def find_snapshot(run: Path, line: ProgressLine) -> Snapshot:
    """Return a checkpoint, or the last one of a run. Raises `CheckpointError`."""
    if (run / MANIFEST).exists():
        return store.load(run)
    snapshot = store.load_latest(run / CHECKPOINTS, line.say)
    if snapshot is None:
        raise CheckpointError(f"{run}: no checkpoint here", hint="is it a run's directory?")
    return snapshot


def as_text(found: Accuracy) -> str:
    """Return a line a class and the means, in percent."""
    pairs = zip(found.classes.names, found.by_class, strict=True)
    rows = [(name, value) for name, value in pairs]
    rows += [("mean", found.mean()), ("mean of hard classes", found.hard_mean())]
    lines = [f"{name:<22}{100 * value:5.1f}" for name, value in rows]
    if absent := found.absent():
        lines.append(f"never there, not in the mean: {', '.join(absent)}")
    return "\n".join(lines) + "\n"


def _prepare(config: Config, threads: int) -> None:
    if config.training.device == "cuda" and not torch.cuda.is_available():
        raise ConfigError("training.device cuda: there is none here", hint="use cpu")
    torch.set_num_threads(threads)


def _warn(sets: Sets, line: ProgressLine) -> None:
    missing = never_seen(frequencies(sets.source, len(sets.classes)), sets.classes.names)
    if missing:
        line.say(f"warning: never in the source's labels: {', '.join(missing)}")
