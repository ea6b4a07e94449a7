"""What a registry client has done, counted."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final

KINDS: Final = ("manifest", "blob", "referrers", "token", "upload")
"""What requests are about."""


@dataclass(slots=True)
class Statistics:
    """Counts since the client was made. Changed by the event loop's thread only.

    Kinds are those of `KINDS`.
    """

    requests: Counter[str] = field(default_factory=Counter)
    """HTTP requests sent, by kind; redirects and repeated ones each count."""
    received: Counter[str] = field(default_factory=Counter)
    """Bytes of bodies received, by kind, discarded ones included."""
    sent: Counter[str] = field(default_factory=Counter)
    """Bytes of bodies sent, by kind."""
    retries: int = 0
    """Failures after which somebody was asked again."""
    ranges_ignored: int = 0
    """Range requests that were answered with the whole blob."""
    discarded: int = 0
    """Bytes received because of that, and thrown away."""
    resumed: int = 0
    """Streams that broke and went on where they had stopped."""

    def snapshot(self) -> dict[str, Any]:
        """Return the counts as plain values."""
        return {
            "requests": dict(self.requests),
            "received": dict(self.received),
            "sent": dict(self.sent),
            "retries": self.retries,
            "ranges_ignored": self.ranges_ignored,
            "discarded": self.discarded,
            "resumed": self.resumed,
        }
