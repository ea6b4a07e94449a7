"""A hot report's JSON object -> one self-contained HTML page."""

from collections.abc import Mapping
from typing import Any, Final

from bootseer.pages.assemble import Parts, assemble

_SCRIPTS: Final = ("format.js", "theme.js", "timeline.js", "heatmap.js", "files.js", "page.js")
_PARTS: Final = Parts(__package__, _SCRIPTS, "bootseer hot show")


def render(document: Mapping[str, Any]) -> str:
    """Return the page for what `hot_document` returned."""
    return assemble(_PARTS, f"Hot blocks of {document['reference']}", document)
