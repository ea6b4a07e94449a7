"""Writes docs/reference/ from the code: every command with its options, every setting.

    scripts/reference [--check]

A test runs the check, so that neither can say what is not so.
"""

import ast
import dataclasses
import inspect
import itertools
import sys
from collections.abc import Iterator
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin, get_type_hints

import click

from bootseer import config
from bootseer.cli.main import cli
from bootseer.setting_types import Bytes, Loopback, Range
from tooling.places import REPOSITORY

PLACE: Final = REPOSITORY / "docs/reference"
_MADE: Final = "<!-- made by scripts/reference: do not edit -->\n\n"
_UNITS: Final = ((1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"))


def pages() -> dict[Path, str]:
    """Return what the files should hold."""
    return {
        PLACE / "cli.md": _MADE + "".join(_cli()),
        PLACE / "configuration.md": _MADE + "".join(_configuration()),
    }


def _cli() -> Iterator[str]:
    yield "# Commands\n\nWhat each command is for is in [cli.md](../cli.md), with exit codes.\n"
    for words, command in _commands(["bootseer"], cli):
        yield f"\n## `{' '.join(words)}`\n\n"
        context = click.Context(command, info_name=" ".join(words))
        yield f"```\n{_usage(command, context)}\n```\n"
        yield f"\n{_text(command)}\n"
        rows = [row for row in (_option(one, context) for one in command.params) if row]
        if rows:
            yield "\n| option | |\n| --- | --- |\n" + "".join(rows)


def _commands(
    words: list[str], command: click.Command
) -> Iterator[tuple[list[str], click.Command]]:
    """Yield the commands that are no groups, with their words, in alphabetical order."""
    if not isinstance(command, click.Group):
        yield words, command
        return
    context = click.Context(command)
    for name in command.list_commands(context):
        inner = command.get_command(context, name)
        if inner is not None and not inner.hidden:
            yield from _commands([*words, name], inner)


def _usage(command: click.Command, context: click.Context) -> str:
    pieces = command.collect_usage_pieces(context)
    return " ".join([context.info_name or "", *pieces])


def _text(command: click.Command) -> str:
    """Return what a command says of itself, as paragraphs."""
    paragraphs = inspect.cleandoc(command.help or "").replace("\b\n", "").split("\n\n")
    return "\n\n".join(" ".join(one.split()) for one in paragraphs)


def _option(parameter: click.Parameter, context: click.Context) -> str:
    if not isinstance(parameter, click.Option) or parameter.hidden:
        return ""
    record = parameter.get_help_record(context)
    if record is None:
        return ""
    name, text = map(_flat, record)
    return f"| `{name}` | {text} |\n"


def _configuration() -> Iterator[str]:
    yield (
        "# Settings\n\nOf `/etc/bootseer/bootseer.yaml`;"
        " [config/bootseer.yaml](../../config/bootseer.yaml) has them all with their defaults.\n"
    )
    yield from _section(config.Config, "")


def _section(record: type[Any], path: str) -> Iterator[str]:
    """Write the settings of a record, then the sections in it."""
    hints = get_type_hints(record, include_extras=True)
    texts = _docstrings(record)
    inner = []
    if path:
        yield f"\n## `{path}`\n\n{_flat(inspect.getdoc(record) or '')}\n"
    yield "\n| setting | type | default | |\n| --- | --- | --- | --- |\n"
    for field in dataclasses.fields(record):
        hint = hints[field.name]
        name = f"{path}.{field.name}" if path else field.name
        if dataclasses.is_dataclass(hint) and isinstance(hint, type):
            inner.append((hint, name))
            continue
        listed = get_args(hint)[0] if get_origin(hint) is tuple else None
        if dataclasses.is_dataclass(listed) and isinstance(listed, type):
            inner.append((listed, f"{name}[]"))
        text = _flat(texts.get(field.name, ""))
        yield f"| `{name}` | {_kind(hint)} | {_default(field, hint)} | {text} |\n"
    for kind, name in inner:
        yield from _section(kind, name)


def _docstrings(record: type[Any]) -> dict[str, str]:
    """Return the strings behind the fields of a class, by field."""
    body = getattr(ast.parse(inspect.getsource(record)).body[0], "body", [])
    found = {}
    for before, after in itertools.pairwise(body):
        if (
            isinstance(before, ast.AnnAssign)
            and isinstance(before.target, ast.Name)
            and isinstance(after, ast.Expr)
            and isinstance(after.value, ast.Constant)
        ):
            found[before.target.id] = str(after.value.value)
    return found


def _kind(hint: Any) -> str:
    """Return what a setting may be."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        bounds = next((one for one in arguments[1:] if isinstance(one, Range)), None)
        inner = _kind(arguments[0])
        if bounds is None:
            return inner
        show = _size if arguments[0] is Bytes else "{:g}".format
        return f"{inner}, {show(bounds.low)} to {show(bounds.high)}"
    if origin is Literal:
        return " or ".join(f"`{one}`" for one in arguments)
    if origin in {Union, UnionType}:
        return f"{_kind(arguments[0])}, or empty"
    if origin is tuple:
        return (
            "list" if dataclasses.is_dataclass(arguments[0]) else f"list of {_kind(arguments[0])}"
        )
    names = {str: "text", int: "integer", float: "number", bool: "true or false", Path: "path"}
    return {Bytes: "size", Loopback: "host:port on loopback"}.get(hint) or names[hint]


def _default(field: "dataclasses.Field[Any]", hint: Any) -> str:
    value: Any = field.default
    kind = get_args(hint)[0] if get_origin(hint) is Annotated else hint
    if value is None or value in ("", ()):
        return ""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if kind is Bytes:
        return f"`{_size(value)}`"
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


def _size(value: float) -> str:
    for unit, name in _UNITS:
        if value >= unit and value % unit == 0:
            return f"{value // unit:.0f}{name}"
    return f"{value:.0f}"


def _flat(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def main(arguments: list[str]) -> int:
    """Write the files, or with --check say which are not as they should be."""
    wrong = [path for path, text in pages().items() if not _is(path, text)]
    if arguments == ["--check"]:
        for path in wrong:
            print(
                f"{path.relative_to(REPOSITORY)} is not what the code says: run scripts/reference"
            )
        return 1 if wrong else 0
    PLACE.mkdir(exist_ok=True)
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")
    return 0


def _is(path: Path, text: str) -> bool:
    return path.exists() and path.read_text(encoding="utf-8") == text


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
