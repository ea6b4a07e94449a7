"""The manifest of a checkpoint: what it is, and what its files' bytes must be."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from idpl.checkpoint.snapshot import FORMAT
from idpl.errors import CheckpointError

NAME: Final = "manifest.json"
_MOST: Final = 4 << 20  # bytes of a manifest; one has a line a file and the configuration


@dataclass(frozen=True, slots=True)
class Manifest:
    """`kind` is `file` (one file of torch.save) or `sharded` (torch.distributed.checkpoint)."""

    kind: str
    step: int
    world: int
    torch: str
    config: Mapping[str, Any]
    files: Mapping[str, tuple[int, str]]
    """Length in bytes and SHA-256 of each file."""


def describe(directory: Path) -> dict[str, tuple[int, str]]:
    """Return length and hash of every file of a directory."""
    files = sorted(path for path in directory.iterdir() if path.name != NAME)
    return {path.name: (path.stat().st_size, _digest(path)) for path in files}


def encode(manifest: Manifest) -> str:
    """Return the text of a manifest."""
    document = {
        "format": FORMAT,
        "kind": manifest.kind,
        "step": manifest.step,
        "world": manifest.world,
        "torch": manifest.torch,
        "config": manifest.config,
        "files": {name: list(entry) for name, entry in manifest.files.items()},
    }
    return json.dumps(document, indent=1, sort_keys=True) + "\n"


def read(directory: Path) -> Manifest:
    """Return the manifest of a checkpoint. Raises `CheckpointError`."""
    path = directory / NAME
    try:
        with path.open("rb") as file:
            text = file.read(_MOST)
        document = json.loads(text)  # what is longer than the most is cut, and no JSON
        version = document["format"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"{directory}: not a whole checkpoint: {NAME}: {error}", hint="use an earlier one"
        ) from error
    if version != FORMAT:
        raise CheckpointError(
            f"{directory}: written in format {version}, this program reads {FORMAT}",
            hint="use the version of the program that wrote it",
        )
    try:
        files = {str(name): (int(one[0]), str(one[1])) for name, one in document["files"].items()}
        return Manifest(
            kind=str(document["kind"]),
            step=int(document["step"]),
            world=int(document["world"]),
            torch=str(document["torch"]),
            config=dict(document["config"]),
            files=files,
        )
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise CheckpointError(
            f"{directory}: {NAME} is damaged: {error!r}", hint="use an earlier one"
        ) from error


def check_files(directory: Path, manifest: Manifest) -> None:
    """Raise `CheckpointError` unless every file is there, byte for byte."""
    for name, (size, digest) in manifest.files.items():
        path = directory / Path(name).name
        if not path.is_file():
            raise CheckpointError(f"{directory}: {name} is missing", hint="use an earlier one")
        found = path.stat().st_size
        if found != size:
            raise CheckpointError(
                f"{directory}: {name} has {found} bytes, not {size}: half written?",
                hint="use an earlier one",
            )
        if _digest(path) != digest:
            raise CheckpointError(
                f"{directory}: {name} is not what was written", hint="use an earlier one"
            )


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
