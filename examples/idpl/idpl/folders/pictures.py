"""A folder of one of the published data sets as a set of pictures."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from idpl.classes import IGNORE
from idpl.data.pictures import Sample
from idpl.errors import DataError
from idpl.folders.layout import find_pairs
from idpl.folders.mapping import TABLES
from idpl.folders.reading import read_label, read_picture

Say = Callable[[str], None]


class FolderPictures:
    """Pictures read from files each time they are asked for.

    Raises `DataError` where a picture has no labels and `labelled` is asked for.
    """

    def __init__(
        self,
        folder: Path,
        kind: str,
        split: str,
        size: tuple[int, int],
        *,
        count: int = 0,
        labelled: bool = True,
        say: Say = lambda _line: None,
    ) -> None:
        found = find_pairs(folder, kind, split)
        self._pairs = found.pairs[: count or None]
        self._labelled, self._size, self._table = labelled, size, TABLES[kind]
        missing = [pair.picture for pair in self._pairs if pair.label is None]
        if labelled and missing:
            how_many = f"{len(missing)} of {len(self._pairs)} pictures"
            raise DataError(
                f"{missing[0]}: no labels ({how_many} have none)",
                hint="remove these pictures, or get their labels",
            )
        if labelled and found.extra:
            say(f"warning: {len(found.extra)} label files without picture, as {found.extra[0]}")

    def __len__(self) -> int:
        return len(self._pairs)

    def __getitem__(self, index: int) -> Sample:
        pair = self._pairs[index]
        picture, own = read_picture(pair.picture, self._size)
        if not self._labelled or pair.label is None:
            return Sample(picture, np.full(self._size, IGNORE, dtype=np.uint8))
        return Sample(picture, read_label(pair.label, self._size, self._table, own))

    def name(self, index: int) -> str:
        """Return the picture's file name."""
        return self._pairs[index].picture.name
