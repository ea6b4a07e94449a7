"""What version a program is, in its own words."""

import re
import subprocess


def parse_version(text: str) -> tuple[int, int] | None:
    """Return (major, minor) of the first version number in a program's own words, or None."""
    match = re.search(r"(?:^|[\sv]|go)(\d+)\.(\d+)", text)
    return (int(match[1]), int(match[2])) if match else None


def output(argv: list[str]) -> str:
    """Return what a program prints; nothing if it fails."""
    result = subprocess.run(argv, capture_output=True, text=True, check=False)
    return result.stdout if result.returncode == 0 else ""
