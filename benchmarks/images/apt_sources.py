"""Which Debian mirror this machine uses: apt's two source formats, read (sources.list(5)).

The mirror is the machine's affair and is written nowhere in this project.
"""

import platform
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bootseer.errors import HostError

_ONE_LINE = re.compile(r"^deb\s+(?:\[[^\]]*\]\s+)?(\S+)\s+(\S+)\s*(.*)$")
_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


@dataclass(frozen=True, slots=True)
class AptSource:
    """One binary package source: one address, one suite."""

    uri: str
    suite: str
    components: tuple[str, ...]


def parse_one_line(text: str) -> Iterator[AptSource]:
    """Yield the `deb` lines of a `sources.list` file."""
    for line in text.splitlines():
        if match := _ONE_LINE.match(line.split("#", 1)[0].strip()):
            uri, suite, components = match.groups()
            yield AptSource(uri.rstrip("/"), suite, tuple(components.split()))


def parse_deb822(text: str) -> Iterator[AptSource]:
    """Yield the enabled binary sources of a `.sources` file, one for each address and suite."""
    for paragraph in _paragraphs(text):
        if "deb" not in paragraph.get("types", "").split():
            continue
        if paragraph.get("enabled", "yes").strip().lower() in {"no", "false", "0"}:
            continue
        components = tuple(paragraph.get("components", "").split())
        for uri in paragraph.get("uris", "").split():
            for suite in paragraph.get("suites", "").split():
                yield AptSource(uri.rstrip("/"), suite, components)


def _paragraphs(text: str) -> Iterator[dict[str, str]]:
    fields: dict[str, str] = {}
    name = ""
    for line in [*text.splitlines(), ""]:
        if line.startswith("#"):
            continue
        if not line.strip():
            if fields:
                yield fields
            fields, name = {}, ""
        elif line[0] in " \t":
            fields[name] = f"{fields.get(name, '')} {line.strip()}"
        elif ":" in line:
            name, value = line.split(":", 1)
            name = name.strip().lower()
            fields[name] = value.strip()


def machine_sources(etc_apt: Path = Path("/etc/apt")) -> list[AptSource]:
    """Return every binary source that apt is configured with on this machine."""
    files = [etc_apt / "sources.list", *sorted((etc_apt / "sources.list.d").glob("*"))]
    found: list[AptSource] = []
    for file in files:
        if not file.is_file():
            continue
        if file.suffix == ".list":
            found += parse_one_line(file.read_text())
        elif file.suffix == ".sources":
            found += parse_deb822(file.read_text())
    return found


def choose(sources: list[AptSource], codename: str) -> AptSource:
    """Return the source of the release itself (not its updates).

    Raises `HostError` where there is none.
    """
    for source in sources:
        if source.suite in {codename, "stable"} and "main" in source.components:
            return AptSource(source.uri, codename, ("main",))
    raise HostError(
        f"no apt source for Debian {codename!r} with component main",
        hint="add one to /etc/apt/sources.list.d; the demo image is built from it",
    )


def debian_source() -> AptSource:
    """Return the source from which images are built here. Raises `HostError` off Debian."""
    release = platform.freedesktop_os_release()
    if release.get("ID") != "debian" or not _KEYRING.exists():
        raise HostError(
            f"the demo image is built on Debian 12 or newer, this is {release.get('ID')}",
            hint="install debootstrap and debian-archive-keyring on a Debian machine",
        )
    return choose(machine_sources(), release["VERSION_CODENAME"])
