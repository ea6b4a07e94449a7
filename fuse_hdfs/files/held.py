"""Contents of small plain files, in memory while such a file is open, as far as there is room.

Only its name leads to a plain file: once another is there under that name, what is held here is all
that is left of it. Beyond the room a file is read from its store, and is gone when it is replaced.

Race-free: nothing awaits. Room comes back when the last reference to a content goes.
"""

import weakref


class Held:
    """The contents of one file."""

    __slots__ = ("__weakref__", "data")

    def __init__(self, data: bytes) -> None:
        self.data = data


class Holdings:
    """All of them, bounded by bytes."""

    def __init__(self, room: int) -> None:
        """`room`: bytes."""
        self._left = room

    def hold(self, data: bytes) -> Held | None:
        """Return a content that is held until nobody refers to it; None if there is no room."""
        if len(data) > self._left:
            return None
        self._left -= len(data)
        held = Held(data)
        weakref.finalize(held, self._give, len(data))
        return held

    def _give(self, size: int) -> None:
        self._left += size
