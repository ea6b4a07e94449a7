"""A hot report's JSON object -> one self-contained HTML page.

Names of files and layers are anybody's. They travel as JSON in an element that is no script, with
every `<` escaped so that none can end it, and the page's script only ever shows them as text.
Should that fail, the content security policy still lets nothing run but that script, by its
digest, and lets nothing be fetched.
"""

import base64
import hashlib
import html
import json
from collections.abc import Mapping
from importlib.resources import files
from string import Template
from typing import Any, Final

_SCRIPTS: Final = (
    "format.js",
    "theme.js",
    "tooltip.js",
    "timeline.js",
    "heatmap.js",
    "files.js",
    "page.js",
)
"""In the order in which one uses what another defines."""


def render(document: Mapping[str, Any]) -> str:
    """Return the page for what `hot_document` returned."""
    style = _asset("page.css")
    script = "(() => {\n'use strict';\n" + "\n".join(map(_asset, _SCRIPTS)) + "\n})();"
    data = json.dumps(document, separators=(",", ":")).replace("<", "\\u003c")
    return Template(_asset("page.html")).substitute(
        policy=html.escape(
            "default-src 'none'; base-uri 'none'; form-action 'none';"
            f" style-src {_allow(style)}; script-src {_allow(script)}"
        ),
        title=html.escape(f"Hot blocks of {document['reference']}"),
        style=style,
        data=data,
        script=script,
    )


def _asset(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def _allow(text: str) -> str:
    """Return the source expression of a policy that allows exactly this inline text."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
