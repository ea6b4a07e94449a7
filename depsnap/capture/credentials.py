"""Credentials that a step left in its roots: such a snapshot is not published."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from depsnap.tree.entries import Entry, Kind

_NAMES: Final = re.compile(
    r"(^|/)(\.netrc|_netrc|\.git-credentials|\.pypirc|\.docker/config\.json|\.aws/credentials"
    r"|\.kube/config|\.ssh/id_[^/]+|\.config/gh/hosts\.yml|\.huggingface/token|huggingface/token"
    r"|huggingface/stored_tokens|\.wandb-token)$"
)
"""What is a credential by its name."""
_ASKED: Final = re.compile(
    r"(^|/)(pip\.conf|pip\.ini|direct_url\.json|\.condarc|uv\.toml|\.npmrc|\.yarnrc(\.yml)?"
    r"|easy-install\.pth|g?shadow-?|pyvenv\.cfg|\.env|\.gitconfig|sources\.list|auth\.conf"
    r"|[^/]+\.sources)$"
)
"""What may have one in it."""
_INSIDE: Final = re.compile(
    rb"://[^/@\s'\":]*:[^/@\s'\"$]+@|://[A-Za-z0-9_-]{20,}@|_authToken\s*=|_password\s*=|^password"
    rb"|^[^:\s]+:!?\$[0-9a-z]+\$",
    re.MULTILINE,
)
_MOST: Final = 1 << 20


def credentials(entries: Iterable[Entry], root: Path = Path("/")) -> list[str]:
    """Return the paths of files with credentials.

    Raises:
        OSError: one cannot be read.
    """
    found = []
    for entry in entries:
        if entry.kind is not Kind.FILE or not entry.size:
            continue
        if _NAMES.search(entry.path) or (
            entry.size <= _MOST
            and _ASKED.search(entry.path)
            and _INSIDE.search((root / entry.path).read_bytes())
        ):
            found.append(entry.path)
    return found
