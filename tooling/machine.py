"""What this machine is called in image specifications."""

import os
from typing import Final

_ARCHITECTURES: Final = {"x86_64": "amd64", "aarch64": "arm64"}


def architecture() -> str:
    """Return the processor's name as images spell it (Go's GOARCH)."""
    machine = os.uname().machine
    return _ARCHITECTURES.get(machine, machine)


def platform() -> str:
    """Return `linux/<architecture>`."""
    return f"linux/{architecture()}"
