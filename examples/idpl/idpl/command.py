"""The command line: parses, calls one function, renders.

What is heavy (PyTorch above all) is imported by the commands that need it, so that `--help` is
quick, and so that the imports are a stage of the start that can be timed.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from idpl.config import Config, read_config
from idpl.errors import ConfigError, IdplError
from idpl.training.stages import find_stage

_DEFAULT: Final = Path(__file__).resolve().parents[1] / "configs" / "scenes.yaml"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return its exit status."""
    parser = _parser()
    chosen = parser.parse_args(arguments)
    command: Callable[[argparse.Namespace], int] = chosen.command
    try:
        return command(chosen)
    except IdplError as error:
        sys.stderr.write(f"error: {error}\n")
        if error.hint:
            sys.stderr.write(f"hint: {error.hint}\n")
        return error.exit_code
    except KeyboardInterrupt:
        sys.stderr.write("\ninterrupted; the same command goes on from the last checkpoint\n")
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="idpl", description="Domain adaptation by IDPL.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, command: Callable[[argparse.Namespace], int], text: str) -> _Command:
        added = commands.add_parser(name, help=text, description=text)
        added.set_defaults(command=command)
        return added

    train = add("train", _train, "Train a run; goes on from its last checkpoint.")
    _add_config(train)
    train.add_argument("--out", type=Path, required=True, help="the run's directory")
    _add_threads(train)
    evaluate = add("evaluate", _evaluate, "Print the IoU of each class on the target.")
    evaluate.add_argument("run", type=Path, help="a run's directory, or one checkpoint")
    _add_threads(evaluate)
    show = add("show", _show, "Write a page of pictures and curves of a run (HTML).")
    show.add_argument("run", type=Path, help="a run's directory")
    show.add_argument("file", type=Path)
    show.add_argument(
        "--before", type=Path, help="what to compare with: a checkpoint, or another run"
    )
    show.add_argument("--pictures", type=int, default=6, help="how many of each kind")
    _add_threads(show)
    compare = add("compare", _compare, "Print one table of all methods, on the same pictures.")
    _add_config(compare)
    compare.add_argument("--out", type=Path, required=True, help="where the runs are kept")
    compare.add_argument("--quick", action="store_true", help="small runs, to try things")
    compare.add_argument("--seeds", type=int, default=3, help="how many seeds")
    compare.add_argument(
        "--only", action="append", default=[], metavar="METHOD", help="compare these only"
    )
    compare.add_argument("--jobs", type=int, default=1, help="runs at the same time")
    _add_threads(compare)
    sheet = add("sheet", _sheet, "Write a contact sheet of the rendered scenes (PNG).")
    sheet.add_argument("file", type=Path)
    sheet.add_argument("--rows", type=int, default=5)
    sheet.add_argument("--seed", type=int, default=1)
    return parser


_Command = argparse.ArgumentParser


def _add_config(command: _Command) -> None:
    command.add_argument("--config", type=Path, default=_DEFAULT, help="YAML; see configs/")
    command.add_argument(
        "--set",
        dest="changes",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="change a key of it, as in training.steps=50",
    )


def _add_threads(command: _Command) -> None:
    command.add_argument("--threads", type=int, default=1, help="of PyTorch in each process")


def _config(chosen: argparse.Namespace) -> Config:
    return read_config(chosen.config, tuple(chosen.changes))


def _train(chosen: argparse.Namespace) -> int:
    config = _config(chosen)
    stage = find_stage()
    with stage("imports"):
        from idpl.running import run_training  # noqa: PLC0415 - see the module
    return run_training(config, chosen.out, chosen.threads, stage)


def _evaluate(chosen: argparse.Namespace) -> int:
    from idpl.running import run_evaluation  # noqa: PLC0415 - see the module

    return run_evaluation(chosen.run, chosen.threads)


def _show(chosen: argparse.Namespace) -> int:
    from idpl.running import run_show  # noqa: PLC0415 - see the module

    return run_show(chosen.run, chosen.file, chosen.before, chosen.pictures, chosen.threads)


def _compare(chosen: argparse.Namespace) -> int:
    from idpl.running import run_comparison  # noqa: PLC0415 - see the module

    if min(chosen.seeds, chosen.jobs) < 1:
        raise ConfigError("--seeds, --jobs: at least 1")
    config = _config(chosen)
    return run_comparison(
        config,
        chosen.out,
        names=chosen.only,
        seeds=chosen.seeds,
        quick=chosen.quick,
        jobs=chosen.jobs,
        threads=chosen.threads,
    )


def _sheet(chosen: argparse.Namespace) -> int:
    from idpl.png import encode  # noqa: PLC0415 - see the module
    from idpl.scenes.sheet import contact_sheet  # noqa: PLC0415

    try:
        chosen.file.write_bytes(encode(contact_sheet((64, 128), chosen.rows, chosen.seed, 2)))
    except OSError as error:
        raise ConfigError(f"{chosen.file}: {error.strerror}") from error
    return 0
