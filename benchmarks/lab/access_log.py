"""What clients asked a registry for: its access log (Apache's combined format), read. Pure."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

_LINE: Final = re.compile(r'"([A-Z]+) (\S+) HTTP/[\d.]+" (\d{3}) (\d+|-)')
_BLOB: Final = re.compile(r"/blobs/(sha256:[0-9a-f]{64})$")


@dataclass(frozen=True, slots=True)
class Request:
    """One request. `sent` is the length of the answer's body in bytes."""

    method: str
    path: str
    status: int
    sent: int

    @property
    def blob(self) -> str | None:
        """The digest where the request is for a blob's contents or existence."""
        match = _BLOB.search(self.path.split("?", 1)[0])
        return match[1] if match else None


def parse(lines: Iterable[str]) -> Iterator[Request]:
    """Yield the requests in `lines`; lines of any other kind are passed over."""
    for line in lines:
        if match := _LINE.search(line):
            method, path, status, sent = match.groups()
            yield Request(method, path, int(status), 0 if sent == "-" else int(sent))


def blob_bytes(requests: Iterable[Request]) -> Counter[str]:
    """Return how many bytes of each blob were sent."""
    sent: Counter[str] = Counter()
    for request in requests:
        if request.method == "GET" and request.blob and request.status in {200, 206}:
            sent[request.blob] += request.sent
    return sent
