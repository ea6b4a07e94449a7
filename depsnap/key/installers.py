"""What kind of installer a command is, and which of its words name things to install. Pure."""

import enum
import re
from collections.abc import Sequence
from pathlib import PurePath
from typing import Final


class Installer(enum.Enum):
    """Whose command line it is."""

    PIP = "pip"
    """pip, or `uv pip`."""
    UV = "uv"
    SETUP = "setup.py"
    OTHER = "other"
    """apt, npm, a script: only the files named on its command line are known."""


_PYTHON: Final = re.compile(r"^(python|pypy)[0-9.]*$")
_PIP: Final = re.compile(r"^pip[0-9.]*$")
_VALUES: Final = frozenset(
    {
        "-r",
        "--requirement",
        "-c",
        "--constraint",
        "-e",
        "--editable",
        "-f",
        "--find-links",
        "-i",
        "--index-url",
        "--extra-index-url",
        "-t",
        "--target",
        "--prefix",
        "--root",
        "-p",
        "--python",
        "--platform",
        "--python-version",
        "--implementation",
        "--abi",
        "--cache-dir",
        "--log",
        "--proxy",
        "--retries",
        "--timeout",
        "--trusted-host",
        "--cert",
        "--client-cert",
        "--progress-bar",
        "--config-settings",
        "-C",
        "--global-option",
        "--no-binary",
        "--only-binary",
        "--report",
        "--src",
        "--use-feature",
        "--exists-action",
        "--upgrade-strategy",
        "--link-mode",
        "--index",
        "--default-index",
        "--index-strategy",
        "--keyring-provider",
        "--resolution",
        "--exclude-newer",
        "--extra",
        "--group",
        "-P",
        "--upgrade-package",
        "--use-deprecated",
        "--root-user-action",
    }
)
"""Options of pip and uv whose value is the next word."""


def installer_of(command: Sequence[str]) -> Installer:
    """Return whose command line this is."""
    words = list(command)
    if words and _PYTHON.match(PurePath(words[0]).name):
        words = words[1:]
        while words and words[0].startswith("-") and words[0] != "-m":
            words = words[1:]
        words = words[1:] if words[:1] == ["-m"] else words
    program = PurePath(words[0]).name if words else ""
    if _PIP.match(program):
        return Installer.PIP
    if program == "uv":
        return Installer.PIP if words[1:2] == ["pip"] else Installer.UV
    return Installer.SETUP if program == "setup.py" else Installer.OTHER


def positional(command: Sequence[str]) -> list[str]:
    """Return the words behind `install` that are neither options nor their values."""
    words = list(command)
    behind = words[words.index("install") + 1 :] if "install" in words else []
    found = []
    takes = False
    for word in behind:
        if takes:
            takes = False
        elif word.startswith("-"):
            takes = word in _VALUES
        else:
            found.append(word)
    return found


def option_values(command: Sequence[str], *names: str) -> list[str]:
    """Return the values of options, as `-r x`, `-rx`, `--requirement x` or `--requirement=x`."""
    found = []
    for number, word in enumerate(command):
        for name in names:
            if word == name and number + 1 < len(command):
                found.append(command[number + 1])
            elif name.startswith("--") and word.startswith(f"{name}="):
                found.append(word[len(name) + 1 :])
            elif not name.startswith("--") and word.startswith(name) and len(word) > len(name):
                found += [word[len(name) :]] if not word.startswith("--") else []
    return found
