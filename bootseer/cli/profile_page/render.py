"""A report's JSON object, and what it draws -> one self-contained HTML page."""

from collections.abc import Mapping
from typing import Any, Final

from bootseer.pages.assemble import Parts, assemble

_SCRIPTS: Final = ("format.js", "colours.js", "rows.js", "gantt.js", "spread.js", "page.js")
_PARTS: Final = Parts(__package__, _SCRIPTS, "bootseer profile report")


def render(report: Mapping[str, Any], picture: Mapping[str, Any]) -> str:
    """Return the page for what `report_document` and `picture_document` returned."""
    document = {"report": report, "picture": picture}
    return assemble(_PARTS, "Where starts spend their time", document)
