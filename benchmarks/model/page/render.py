"""What the model says, as a JSON object -> one self-contained HTML page."""

from collections.abc import Mapping
from typing import Any, Final

from bootseer.pages.assemble import Parts, assemble

_SCRIPTS: Final = ("scales.js", "lines.js", "bars.js", "page.js")
_PARTS: Final = Parts(__package__, _SCRIPTS, "scripts/bench model")


def render(document: Mapping[str, Any]) -> str:
    """Return the page for what `document.model_document` returned."""
    return assemble(_PARTS, "Thousands of nodes, by model", document)
