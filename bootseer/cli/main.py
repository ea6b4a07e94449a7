"""The `bootseer` command: finds the noun, runs it, turns errors into messages and exit codes.

Nouns are modules that are imported only when they are used, so that starting stays fast; their
names and short descriptions are here.
"""

import json
import os
import sys
import traceback
from typing import Any, Final

import click

from bootseer.cli.lazy import LazyGroup, Place
from bootseer.errors import BootseerError

BUG: Final = 70
"""Exit code for what is our fault (sysexits' EX_SOFTWARE)."""
INTERRUPTED: Final = 130
"""Exit code after Ctrl-C, as shells have it."""


NOUNS: Final = {
    "cache": Place("bootseer.cli.cache:group", "Look after the cache of layers."),
    "completion": Place("bootseer.cli.completion:command", "Print shell completion."),
    "debug": Place("bootseer.cli.debug:group", "Collect what helps others to help."),
    "deps": Place("bootseer.cli.deps:group", "Install once, restore everywhere."),
    "doctor": Place("bootseer.cli.doctor:command", "Check this machine."),
    "event": Place("bootseer.cli.event:group", "Write startup events."),
    "gc": Place("bootseer.cli.gc:command", "Remove layers that nothing needs."),
    "hdfs": Place("bootseer.cli.hdfs:group", "Mount directories with striped files."),
    "hot": Place("bootseer.cli.hot:group", "Look after what start-ups touch first."),
    "image": Place("bootseer.cli.image:group", "Index images and look into them."),
    "profile": Place("bootseer.cli.profile:group", "Look at where the time of starts goes."),
    "snapshotter": Place("bootseer.cli.snapshotter:group", "Run the snapshotter, or ask it."),
    "status": Place("bootseer.cli.status:command", "Show what the daemon does."),
}


@click.command(
    cls=LazyGroup,
    places=NOUNS,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Commands that report something take --json, and then report errors as JSON too.",
)
@click.version_option(package_name="bootseer", prog_name="bootseer")
def cli() -> None:
    """Large training jobs start fast."""


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit; exit codes are listed in `docs/cli.md`."""
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


def run(arguments: list[str]) -> int:
    """Run a command line and return its exit code."""
    own = arguments[: arguments.index("--")] if "--" in arguments else arguments
    as_json = "--json" in own  # what is behind `--` is another program's
    if arguments[:1] == ["--json"]:  # before the noun or behind it: the same
        arguments = [*arguments[1:], "--json"]
    try:
        result = cli.main(arguments, prog_name="bootseer", standalone_mode=False)
        sys.stdout.flush()
    except (SystemExit, click.exceptions.Exit) as exit_:
        return _exit_code(exit_)
    except BrokenPipeError:
        # Whoever read our output has seen enough. Python would complain at exit otherwise.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (click.ClickException, BootseerError) as error:
        return _expected(error, as_json=as_json)
    except (click.Abort, KeyboardInterrupt):
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    except Exception:  # noqa: BLE001 (it is shown whole)
        traceback.print_exc()
        print("error: this is a bug in bootseer; please report the lines above", file=sys.stderr)
        return BUG
    # click returns the code of `ctx.exit()`, and else what the command returned: None.
    return result if isinstance(result, int) else 0


def _exit_code(exit_: SystemExit | click.exceptions.Exit) -> int:
    code = exit_.exit_code if isinstance(exit_, click.exceptions.Exit) else exit_.code
    if code is None:
        return 0
    return code if isinstance(code, int) else 1


def _expected(error: click.ClickException | BootseerError, *, as_json: bool) -> int:
    """Say what went wrong; return the exit code."""
    if isinstance(error, click.ClickException):
        if as_json:
            _print_json("UsageError", error.format_message(), None)
        else:
            error.show()
        return error.exit_code
    if as_json:
        _print_json(_family(error), error.message, error.hint)
        return error.exit_code
    print(f"error: {error.message}", file=sys.stderr)
    for note in getattr(error, "__notes__", ()):
        print(f"  {note}", file=sys.stderr)
    if error.hint:
        print(f"hint: {error.hint}", file=sys.stderr)
    return error.exit_code


def _family(error: BootseerError) -> str:
    """Return the name of the error's family: the class in `bootseer.errors`."""
    own = (kind for kind in type(error).__mro__ if kind.__module__ == "bootseer.errors")
    return next(own).__name__


def _print_json(family: str, message: str, hint: str | None) -> None:
    document: dict[str, Any] = {"error": family, "message": message, "hint": hint}
    print(json.dumps(document), file=sys.stderr)
