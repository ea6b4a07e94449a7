"""YAML into frozen dataclasses: every key known, every value of its type, every error with a line.

The dataclass is the schema. A field's type says what is allowed: str, int, float, bool, Path,
`Bytes`, `Loopback`, `Literal[...]`, `tuple[..., ...]` of one of these, or another dataclass for a
section; a number may be `Annotated` with a `Range`. `... | None` may be left empty. What a file
leaves out has the field's default.
"""

import dataclasses
import difflib
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from types import UnionType
from typing import (
    Annotated,
    Any,
    Final,
    Literal,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

import yaml

from bootseer.errors import UsageError
from bootseer.setting_types import Bytes, Loopback, Range

Record = TypeVar("Record")

_LOOPBACK: Final = re.compile(
    r"(?:localhost|\[::1\]|127(?:\.(?:25[0-5]|2[0-4]\d|1?\d?\d)){3}):(\d{1,5})"
)
_SIZE: Final = re.compile(r"(\d+) ?(B|[KMGT]iB)")
_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""That in C where PyYAML was built with it: ten times as fast."""
_UNITS: Final = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}


def parse(record: type[Record], text: str, source: str) -> Record:
    """Return a `record` with what `text` (YAML) says; `source` names the text in errors.

    Raises `UsageError` with key, source and line: for what is no YAML, for keys that are unknown or
    there twice (naming the nearest known one), for values of another type or out of bounds.
    """
    try:
        node = yaml.compose(text, Loader=_LOADER)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise _not_yaml(error, source) from error
    if node is None:
        return record()
    try:
        return _Reader(source).section(record, node, "")
    except RecursionError as error:
        raise UsageError(f"{source}: nested too deeply") from error


def _not_yaml(error: Exception, source: str) -> UsageError:
    mark = getattr(error, "problem_mark", None)
    where = f"{source}:{mark.line + 1}" if mark is not None else source
    what = getattr(error, "problem", None) or str(error).splitlines()[0]
    return UsageError(f"{where}: not valid YAML: {what}")


class _Reader:
    """Walks the composed nodes of one text along the types of a record."""

    def __init__(self, source: str) -> None:
        self._source = source

    def section(self, record: type[Record], node: yaml.Node, path: str) -> Record:
        if _is_null(node):
            return record()  # `registry:` with every line below commented out
        if not isinstance(node, yaml.MappingNode):
            raise self._error(node, f"{path or 'the file'}: expected keys and values")
        types = get_type_hints(record, include_extras=True)
        values: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = self._key(key_node, types, path)
            if key in values:
                raise self._error(key_node, f"{_join(path, key)}: given twice")
            values[key] = self.value(types[key], value_node, _join(path, key))
        return record(**values)

    def _key(self, node: yaml.Node, types: Mapping[str, Any], path: str) -> str:
        key = node.value if isinstance(node, yaml.ScalarNode) else "?"
        if key in types:
            return str(key)
        near = difflib.get_close_matches(key, types, 1, cutoff=0.5)
        where = f"in {path}" if path else "at the top"
        hint = f"did you mean {near[0]}?" if near else f"known {where}: {', '.join(sorted(types))}"
        raise self._error(node, f"{_join(path, key)}: unknown key", hint=hint)

    def value(self, wanted: Any, node: yaml.Node, path: str) -> Any:
        if dataclasses.is_dataclass(wanted) and isinstance(wanted, type):
            return self.section(wanted, node, path)
        if get_origin(wanted) is Annotated:
            wanted, *bounds = get_args(wanted)
            return self._bounded(self.value(wanted, node, path), bounds, node, path)
        if get_origin(wanted) is Literal:
            return self._choice(get_args(wanted), node, path)
        if get_origin(wanted) in {Union, UnionType}:
            return None if _is_null(node) else self.value(get_args(wanted)[0], node, path)
        if get_origin(wanted) is tuple:
            return self._list(get_args(wanted)[0], node, path)
        return self._scalar(wanted, node, path)

    def _scalar(self, wanted: Any, node: yaml.Node, path: str) -> Any:
        name, convert = _SCALARS[wanted]
        value = self._plain(node, path, name)
        converted = convert(value)
        if converted is None:
            raise self._error(node, f"{path}: expected {name}, found {value!r}")
        return converted

    def _plain(self, node: yaml.Node, path: str, name: str) -> object:
        if not isinstance(node, yaml.ScalarNode):
            kind = "a list" if isinstance(node, yaml.SequenceNode) else "keys and values"
            raise self._error(node, f"{path}: expected {name}, found {kind}")
        try:
            value: object = yaml.SafeLoader("").construct_object(node)
        except (yaml.YAMLError, ValueError) as error:
            raise self._error(node, f"{path}: expected {name}, found {node.value!r}") from error
        return value

    def _choice(self, choices: tuple[str, ...], node: yaml.Node, path: str) -> str:
        names = " or ".join(choices)
        value = self._plain(node, path, names)
        if isinstance(value, bool):
            value = node.value  # YAML takes `off` for a truth value; here it is a word
        if value not in choices:
            near = difflib.get_close_matches(str(value), choices, 1)
            hint = f"did you mean {near[0]}?" if near else None
            raise self._error(node, f"{path}: expected {names}, found {value!r}", hint=hint)
        return str(value)

    def _list(self, wanted: Any, node: yaml.Node, path: str) -> tuple[Any, ...]:
        if not isinstance(node, yaml.SequenceNode):
            what = "texts" if wanted is str else "keys and values"
            raise self._error(node, f"{path}: expected a list of {what}")
        items = enumerate(node.value)
        return tuple(self.value(wanted, item, f"{path}[{number}]") for number, item in items)

    def _bounded(self, value: Any, bounds: list[Any], node: yaml.Node, path: str) -> Any:
        for bound in bounds:
            if isinstance(bound, Range) and not bound.low <= value <= bound.high:
                limits = f"{bound.low:g} to {bound.high:g}"
                raise self._error(node, f"{path}: expected {limits}, found {value!r}")
        return value

    def _error(self, node: yaml.Node, message: str, *, hint: str | None = None) -> UsageError:
        return UsageError(f"{self._source}:{node.start_mark.line + 1}: {message}", hint=hint)


def _is_null(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:null"


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _integer(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _number(value: object) -> float | None:
    ok = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if ok and isinstance(value, int | float) else None


def _truth(value: object) -> bool | None:
    return value if isinstance(value, bool) else None


def _path(value: object) -> Path | None:
    return Path(value) if isinstance(value, str) and value.startswith("/") else None


def _size(value: object) -> Bytes | None:
    if isinstance(value, str) and (match := _SIZE.fullmatch(value)):
        return Bytes(int(match[1]) * _UNITS[match[2]])
    whole = _integer(value)
    return Bytes(whole) if whole is not None and whole >= 0 else None


def _loopback(value: object) -> Loopback | None:
    if not isinstance(value, str):
        return None
    match = _LOOPBACK.fullmatch(value)
    return Loopback(value) if not value or (match and 0 < int(match[1]) < 65536) else None


_SCALARS: Final[Mapping[Any, tuple[str, Callable[[object], Any]]]] = {
    str: ("a text", _text),
    int: ("a whole number", _integer),
    float: ("a number", _number),
    bool: ("true or false", _truth),
    Path: ("an absolute path", _path),
    Bytes: ("a size such as 8MiB", _size),
    Loopback: ('a loopback address such as "127.0.0.1:9105", or ""', _loopback),
}
