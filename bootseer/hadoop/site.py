"""Hadoop's configuration files (`core-site.xml`, `hdfs-site.xml`): bytes in, properties out. Pure.

As in Hadoop's `Configuration`: a later file wins, but for properties that an earlier one calls
final; `${name}` in a value is another property, `${env.NAME}` a variable of the environment, and
what cannot be replaced stays as it is. Documents with a DOCTYPE are refused, so no entity is ever
expanded, and includes are refused too, so that nothing is silently left out.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final
from xml.parsers import expat

from bootseer.errors import CorruptError

SITE_BYTES: Final = 4 << 20
"""Bytes of one file."""
_PROPERTIES: Final = 20_000
_VALUE: Final = 64 << 10
"""Characters of a name or value, also after its variables were replaced."""
_DEPTH: Final = 16
_ROUNDS: Final = 20
"""Variables that are replaced in one value; Hadoop stops there too."""
_VARIABLE: Final = re.compile(r"\$\{([^${}\s]+)\}")
_RENAMED: Final = {"fs.default.name": "fs.defaultFS"}


@dataclass(frozen=True, slots=True)
class Property:
    """One property of a file."""

    name: str
    value: str
    final: bool = False


@dataclass(frozen=True, slots=True)
class Site:
    """What all files together say."""

    properties: Mapping[str, str] = field(default_factory=dict)
    """Values as they are written."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """What `${env.NAME}` is taken from."""

    def get(self, name: str, default: str = "") -> str:
        """Return a value with its variables replaced, without spaces around it."""
        text = self.properties.get(name, default)
        for _ in range(_ROUNDS):
            for match in _VARIABLE.finditer(text):
                value = self._variable(match[1])
                if value is not None:
                    break
            else:
                break
            longer = f"{text[: match.start()]}{value}{text[match.end() :]}"
            if len(longer) > _VALUE:
                break
            text = longer
        return text.strip()

    def words(self, name: str) -> tuple[str, ...]:
        """Return a value that is a list, separated by commas."""
        return tuple(word for word in (one.strip() for one in self.get(name).split(",")) if word)

    def _variable(self, name: str) -> str | None:
        if not name.startswith("env."):
            return self.properties.get(name)
        variable, dash, default = name.removeprefix("env.").partition("-")
        empty_too = variable.endswith(":")
        found = self.environment.get(variable.removesuffix(":"))
        if found is None or (empty_too and not found):
            return default if dash else None
        return found


def merge(files: Iterable[Iterable[Property]], environment: Mapping[str, str]) -> Site:
    """Return what files say together, the last one strongest."""
    found: dict[str, str] = {}
    final: set[str] = set()
    for properties in files:
        for one in properties:
            name = _RENAMED.get(one.name, one.name)
            if name in final:
                continue
            found[name] = one.value
            if one.final:
                final.add(name)
    return Site(found, environment)


def parse_site(data: bytes) -> tuple[Property, ...]:
    """Return the properties of a file, in order. CorruptError if it is none."""
    if len(data) > SITE_BYTES:
        raise CorruptError(f"it is larger than {SITE_BYTES} bytes")
    reader = _Reader()
    try:
        reader.feed(data)
    except expat.ExpatError as error:
        raise CorruptError(f"line {error.lineno}: {expat.ErrorString(error.code)}") from error
    except (ValueError, LookupError) as error:  # an encoding that does not exist, or is a lie
        raise CorruptError(f"it is no XML: {error}") from error
    return tuple(reader.found)


class _Reader:
    """Takes what expat finds."""

    def __init__(self) -> None:
        self.found: list[Property] = []
        self._path: list[str] = []
        self._fields: dict[str, str] = {}
        self._text: list[str] = []
        self._length = 0
        self._parser = expat.ParserCreate()
        self._parser.buffer_text = True
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._characters
        self._parser.StartDoctypeDeclHandler = self._doctype

    def feed(self, data: bytes) -> None:
        self._parser.Parse(data, True)

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        del attributes
        self._path.append(name)
        if len(self._path) > _DEPTH:
            raise self._wrong("elements are nested too deeply")
        if self._path[0] != "configuration":
            raise self._wrong(f"<configuration> expected, not <{name[:40]}>")
        if name.rpartition(":")[2] == "include":
            raise self._wrong("includes are not supported")
        if self._path == ["configuration", "property"]:
            self._fields = {}
        self._text, self._length = [], 0

    def _end(self, name: str) -> None:
        match self._path:
            case ["configuration", "property", _]:
                self._fields[name] = "".join(self._text)
            case ["configuration", "property"]:
                self._property()
        self._path.pop()

    def _property(self) -> None:
        name = self._fields.get("name", "").strip()
        if not name:
            raise self._wrong("a property without a name")
        if len(self.found) >= _PROPERTIES:
            raise self._wrong(f"more than {_PROPERTIES} properties")
        if "value" in self._fields:
            final = self._fields.get("final", "").strip().lower() == "true"
            self.found.append(Property(name, self._fields["value"], final))

    def _characters(self, text: str) -> None:
        self._length += len(text)
        if self._length > _VALUE:
            raise self._wrong(f"a value of more than {_VALUE} characters")
        self._text.append(text)

    def _doctype(self, *described: object) -> None:
        del described
        raise self._wrong("a DOCTYPE is not supported")

    def _wrong(self, what: str) -> CorruptError:
        return CorruptError(f"line {self._parser.CurrentLineNumber}: {what}")
