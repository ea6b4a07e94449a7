"""How a server takes over a live FUSE connection with stock libfuse.

1. The keeper passes us one end of a socket pair, *session*, and the real /dev/fuse descriptor,
   *device*. Ready to serve, we say so on *session* and wait; when nobody else serves any more, the
   keeper writes the kernel's INIT request into the other end.
2. libfuse is told to mount "/dev/fd/<session>": it takes that for a connection which is mounted
   already, and reads the INIT request from it.
3. While it handles INIT, before it answers, we put *device* in the place of *session* (dup2): the
   answer, and everything after, goes to the kernel, which takes the first answer to INIT and
   ignores later ones.
4. On a live connection we then ask the kernel to send again what a dead server left unanswered.
"""

import os
from dataclasses import dataclass
from typing import Final

from bootseer import kernel

READY: Final = b"ready"
"""What a server says when it could serve."""
LAST_CONFIG: Final = "config.last"
"""File in the root directory: the configuration that the last server served with."""


@dataclass(frozen=True, slots=True)
class Handover:
    """What the keeper hands to a server."""

    session: int
    """Descriptor that libfuse is given."""
    device: int
    """The real /dev/fuse descriptor."""
    fresh: bool
    """The connection is new: nothing that was mounted before is of use."""
    kept: int | None = None
    """Memory file with what servers leave to each other."""
    beats: int | None = None
    """Pipe that signs of life are written to; None from a keeper that does not look for any."""

    def __str__(self) -> str:
        """Return the text form."""
        words = [
            self.session,
            self.device,
            "fresh" if self.fresh else "live",
            self.kept,
            self.beats,
        ]
        return ":".join(str(word) for word in words if word is not None)

    @classmethod
    def parse(cls, text: str) -> "Handover":
        """Parse `--handover SESSION:DEVICE:fresh|live[:KEPT[:BEATS]]`."""
        session, device, state, *more = text.split(":")
        return cls(int(session), int(device), state == "fresh", *map(int, more))

    @property
    def descriptors(self) -> tuple[int, ...]:
        """All descriptors in it."""
        every = (self.session, self.device, self.kept, self.beats)
        return tuple(number for number in every if number is not None)

    @property
    def mountpoint(self) -> str:
        """What libfuse is told to mount."""
        return f"/dev/fd/{self.session}"

    def close_on_exec(self) -> None:
        """Keep the descriptors out of every process that the server starts."""
        for number in self.descriptors:
            os.set_inheritable(number, False)

    def complete(self) -> bool:
        """Called while libfuse handles INIT. Return whether lost requests will be sent again."""
        os.dup2(self.device, self.session, inheritable=False)
        os.close(self.device)
        return not self.fresh and kernel.resend(self.session)
