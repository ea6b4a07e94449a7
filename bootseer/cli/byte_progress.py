"""A progress bar for bytes, on standard error and only if that is a terminal."""

import contextlib
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)


@contextlib.contextmanager
def byte_progress(
    what: str, total: int, *, threads: bool = True
) -> Iterator[Callable[[int], None]]:
    """Show a bar while the context is open; yields what is told how many more bytes are done.

    Without `threads` it moves only when it is told something: for who forks meanwhile.
    """
    console = Console(stderr=True)
    bars = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
        transient=True,
        auto_refresh=threads,
    )
    with bars:
        task = bars.add_task(what, total=total)

        def done(more: int) -> None:
            bars.advance(task, more)
            if not threads:
                bars.refresh()

        yield done
