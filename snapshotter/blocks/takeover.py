"""How a server takes over a live FUSE connection with stock libfuse.

1. The keeper wrote the kernel's INIT request into one end of a socket pair and passes us the other
   end, *session*, and the real /dev/fuse descriptor, *device*.
2. libfuse is told to mount "/dev/fd/<session>": it takes that for a connection which is mounted
   already, and reads the INIT request from it.
3. While it handles INIT, before it answers, we put *device* in the place of *session* (dup2): the
   answer, and everything after, goes to the kernel, which takes the first answer to INIT and
   ignores later ones.
4. On a live connection we then ask the kernel to send again what a dead server left unanswered.
"""

import os
from dataclasses import dataclass

from bootseer import kernel


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

    @classmethod
    def parse(cls, text: str) -> "Handover":
        """Parse `--handover SESSION:DEVICE:fresh|live[:KEPT]`."""
        session, device, state, *kept = text.split(":")
        return cls(int(session), int(device), state == "fresh", int(kept[0]) if kept else None)

    @property
    def mountpoint(self) -> str:
        """What libfuse is told to mount."""
        return f"/dev/fd/{self.session}"

    def close_on_exec(self) -> None:
        """Keep the descriptors out of every process that the server starts."""
        os.set_inheritable(self.session, False)
        os.set_inheritable(self.device, False)
        if self.kept is not None:
            os.set_inheritable(self.kept, False)

    def complete(self) -> bool:
        """Called while libfuse handles INIT. Return whether lost requests will be sent again."""
        os.dup2(self.device, self.session, inheritable=False)
        os.close(self.device)
        return not self.fresh and kernel.resend(self.session)
