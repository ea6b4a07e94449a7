"""A JSON object and the parts of a page -> one self-contained HTML page.

What a page shows (names of files, layers, nodes) is anybody's. It travels as JSON in an element
that is no script, with every `<` escaped so that none can end it, and the pages' scripts only ever
show it as text. Should that fail, the content security policy still lets nothing run but those
scripts, by their digest, and lets nothing be fetched.
"""

import base64
import hashlib
import html
import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from string import Template
from typing import Any, Final

_SHARED: Final = ("elements.js", "theme.js", "tooltip.js")


def assemble(package: str, scripts: Sequence[str], title: str, document: Mapping[str, Any]) -> str:
    """Return the page that `page.html`, `page.css` and the scripts of a package make.

    `scripts` in the order in which one uses what another defines, after the shared ones.
    """
    style = _asset(__package__, "base.css") + _asset(package, "page.css")
    parts = [_asset(__package__, name) for name in _SHARED]
    parts += [_asset(package, name) for name in scripts]
    script = "(() => {\n'use strict';\n" + "\n".join(parts) + "\n})();"
    data = json.dumps(document, separators=(",", ":")).replace("<", "\\u003c")
    return Template(_asset(package, "page.html")).substitute(
        policy=html.escape(
            "default-src 'none'; base-uri 'none'; form-action 'none';"
            f" style-src {_allow(style)}; script-src {_allow(script)}"
        ),
        title=html.escape(title),
        style=style,
        data=data,
        script=script,
    )


def _asset(package: str, name: str) -> str:
    return files(package).joinpath(name).read_text(encoding="utf-8")


def _allow(text: str) -> str:
    """Return the source expression of a policy that allows exactly this inline text."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
