"""Copying files and directories with what is in them: what is there already is left alone.

Race-free: counts are changed without an await between reading and writing them.
"""

import errno
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from bootseer.errors import CorruptError
from bootseer.together import together
from fuse_hdfs.transfer.copy import Moved, compare, copy_file
from fuse_hdfs.transfer.ends import About, Files

_AT_ONCE: Final = 4
"""Files that are copied at the same time; each of them in parallel."""


@dataclass(frozen=True, slots=True)
class End:
    """Where a copy begins or ends."""

    files: Files
    path: str

    def __truediv__(self, name: str) -> "End":
        return End(self.files, f"{self.path}/{name}" if self.path else name)


@dataclass(frozen=True, slots=True)
class Job:
    """One file or directory to be copied."""

    source: End
    target: End
    about: About
    there: bool
    """A file like it is at the target already."""


@dataclass(frozen=True, slots=True)
class Plan:
    """All that has to be done, directories before what is in them."""

    jobs: tuple[Job, ...]

    @property
    def size(self) -> int:
        """Bytes that have to be copied."""
        return sum(job.about.size for job in self.jobs if not job.there)


@dataclass(slots=True)
class Report:
    """What was done."""

    files: int = 0
    """Copied."""
    bytes: int = 0
    """Of these."""
    there: int = 0
    """Files that were there already."""
    resumed: int = 0
    """Bytes that an earlier attempt had copied."""


async def plan(source: End, target: End, *, again: bool = False) -> Plan:
    """Look at both ends. `again`: copy also what is there already.

    OSError: ENOENT, there is no such source; EISDIR, ENOTDIR, a directory would replace a file.
    """
    about = await source.files.about(source.path)
    if about is None:
        raise OSError(errno.ENOENT, os.strerror(errno.ENOENT), source.path)
    jobs: list[Job] = []
    waiting = [(source, target, about)]
    while waiting:
        source, target, about = waiting.pop()
        present = await target.files.about(target.path)
        if present is not None and present.directory != about.directory:
            number = errno.EISDIR if present.directory else errno.ENOTDIR
            raise OSError(number, os.strerror(number), target.path)
        there = present is not None and (about.directory or (about.like(present) and not again))
        jobs.append(Job(source, target, about, there))
        if about.directory:
            inside = await source.files.list(source.path)
            waiting += [(source / name, target / name, inside[name]) for name in sorted(inside)]
    return Plan(tuple(jobs))


async def carry_out(work: Plan, moved: Moved, *, verify: bool = False) -> Report:
    """Copy everything. `verify`: read each copy and its source once more and compare them.

    OSError, CorruptError: as soon as one file fails; what is done is skipped the next time.
    """
    report = Report()

    async def copy(job: Job) -> None:
        source = await job.source.files.source(job.source.path)
        resumed = await copy_file(
            source, job.target.files.target(job.target.path, job.about), moved
        )
        if verify:
            copied = await job.target.files.source(job.target.path)
            try:
                await compare(source, copied, lambda _: None)
            except CorruptError as error:
                raise CorruptError(f"{job.target.path}: {error.message}") from error
        report.files += 1
        report.bytes += job.about.size
        report.resumed += resumed

    for job in work.jobs:
        if job.about.directory and not job.there:
            await job.target.files.make_directory(job.target.path, job.about.mode)
    files = [job for job in work.jobs if not job.about.directory]
    report.there = sum(job.there for job in files)
    await together(copy, [job for job in files if not job.there], _AT_ONCE)
    return report


def joined(plans: Sequence[Plan]) -> Plan:
    """Return several plans as one."""
    return Plan(tuple(job for one in plans for job in one.jobs))
