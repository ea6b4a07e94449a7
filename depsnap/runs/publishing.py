"""From a captured step to a snapshot in the store."""

import contextlib
import grp
import hashlib
import pwd
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bootseer.errors import BootseerError, HostError
from depsnap.capture.bytecode import compile_sources, uncompiled, with_compiled
from depsnap.capture.captured import Captured
from depsnap.capture.credentials import credentials
from depsnap.capture.reading import read_entries
from depsnap.key.compose import Composed
from depsnap.key.redaction import redact_words
from depsnap.packing.build import Packed, build_packs
from depsnap.runs.settings import Job
from depsnap.snapshots.head import Head
from depsnap.snapshots.library import Library, Stored
from depsnap.snapshots.places import open_store
from depsnap.tree.entries import Entry, Kind
from depsnap.tree.tree_format import encode_tree
from depsnap.waiting import wait_for_result


class CredentialsError(BootseerError):
    """A snapshot would hand out what is secret."""

    exit_code = 2


@dataclass(frozen=True, slots=True)
class Prepared:
    """A snapshot that is ready to be stored, in a directory of its own."""

    head: Head
    tree: bytes
    packed: Packed


def entries_of(job: Job, composed: Composed, captured: Captured) -> list[Entry]:
    """Return what a step changed, as it is in place now, compiled.

    Raises:
        CredentialsError: there are credentials in it.
        HostError: something cannot be read.
    """
    python = composed.interpreter
    try:
        entries = _read(captured.changes)
        if python is not None and python.cache_tag and job.settings.compile:
            sources = uncompiled(entries, python)
            if sources:
                variables = job.step.environment
                compile_sources(sources, python, variables, job.settings.workers)
                changes = with_compiled(captured.changes, sources, python.cache_tag)
                entries = _read(changes)
        if secret := credentials(entries):
            raise CredentialsError(
                f"/{secret[0]} holds credentials; the snapshot is not published",
                hint="keep them out of the roots",
            )
    except OSError as error:
        raise HostError(f"{error.filename}: {error.strerror}") from error
    return entries


def prepare(
    job: Job, composed: Composed, captured: Captured, entries: list[Entry], directory: Path
) -> Prepared:
    """Return a snapshot whose packs are made in `directory`.

    Raises:
        CorruptError: files change meanwhile.
        HostError: something cannot be read or written.
    """
    try:
        size = sum(entry.stored for entry in entries)
        with job.progress("packing", size) as more:
            packed = build_packs(entries, directory, job.settings.workers, more=more)
    except OSError as error:
        raise HostError(f"{error.filename}: {error.strerror}") from error
    tree = encode_tree(packed.tree)
    now = int(time.time())
    changed = [entry for entry in entries if entry.kind not in (Kind.KEPT, Kind.DELETED)]
    packs = {pack.digest: pack.stored for pack in packed.tree.packs}
    head = Head(
        name=job.name,
        key=composed.key,
        created=now,
        fresh_until=None if composed.lasting else now + int(job.settings.fresh),
        command=tuple(redact_words(list(job.step.command))),
        roots=composed.roots,
        capture=captured.method,
        seconds=captured.ran.seconds,
        ingredients=composed.ingredients,
        tree=hashlib.sha256(tree).hexdigest(),
        tree_size=len(tree),
        entries=len(packed.tree.entries),
        size=sum(entry.size for entry in entries),
        stored=sum(packs.values()),
        users=_names(pwd.getpwuid, {entry.uid for entry in changed}),
        groups=_names(grp.getgrgid, {entry.gid for entry in changed}),
    )
    return Prepared(head, tree, packed)


def publish(job: Job, composed: Composed, captured: Captured, entries: list[Entry]) -> Stored:
    """Pack what a step changed and store it; return the snapshot, or that of who was faster.

    Raises:
        BootseerError: it is not stored.
    """
    with tempfile.TemporaryDirectory(prefix="depsnap-") as directory:
        prepared = prepare(job, composed, captured, entries, Path(directory))
        return wait_for_result(_store(job, prepared))


async def _store(job: Job, prepared: Prepared) -> Stored:
    async with open_store(job.settings.store) as store:
        return await Library(store).publish(prepared.head, prepared.tree, prepared.packed.files)


def _names(look_up: Callable[[int], Sequence[object]], numbers: Iterable[int]) -> dict[int, str]:
    """Return the names of users or groups; what has none is known by its number only."""
    found = {}
    for number in sorted(numbers):
        with contextlib.suppress(KeyError):
            found[number] = str(look_up(number)[0])
    return found


def _read(changes: Iterable[tuple[str, Kind]]) -> list[Entry]:
    return read_entries(changes, lambda path: Path(f"/{path}"), lambda _path, _why: None)
