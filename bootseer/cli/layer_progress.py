"""A progress bar for each layer, on standard error and only if that is a terminal."""

from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TransferSpeedColumn,
)

from snapshotter.images.layer_indexing import Progress as LayerNews
from snapshotter.registry.descriptors import Descriptor


class LayerProgress:
    """Shows how far each layer is while its context is open."""

    def __init__(self, console: Console | None = None) -> None:
        console = console or Console(stderr=True)
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TextColumn("{task.fields[stage]}"),
            console=console,
            disable=not console.is_terminal,
            transient=True,
        )
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> "LayerProgress":
        self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        self._bars.stop()

    def update(self, news: LayerNews) -> None:
        """Show a layer's news."""
        self.show(news.layer, news.done, str(news.stage))

    def show(self, layer: Descriptor, done: int, stage: str) -> None:
        """Show how many bytes of a layer are done, and what is being done to it."""
        if layer.digest not in self._tasks:
            name = layer.digest.removeprefix("sha256:")[:12]
            self._tasks[layer.digest] = self._bars.add_task(name, total=layer.size, stage="")
        self._bars.update(self._tasks[layer.digest], completed=done, stage=stage)
