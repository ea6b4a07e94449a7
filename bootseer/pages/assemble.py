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
from dataclasses import dataclass
from importlib.resources import files
from string import Template
from typing import Any, Final

_SHARED: Final = ("elements.js", "theme.js", "tooltip.js")


@dataclass(frozen=True, slots=True)
class Parts:
    """Where the parts of a kind of page are."""

    package: str
    """It has `page.html` (what is in the body), `page.css`, and the scripts."""
    scripts: Sequence[str]
    """In the order in which one uses what another defines, after the shared ones."""
    generator: str
    """The command that makes such pages."""


def assemble(parts: Parts, title: str, document: Mapping[str, Any]) -> str:
    """Return the page that shows a document."""
    style = _asset(__package__, "base.css") + _asset(parts.package, "page.css")
    texts = [_asset(__package__, name) for name in _SHARED]
    texts += [_asset(parts.package, name) for name in parts.scripts]
    script = "(() => {\n'use strict';\n" + "\n".join(texts) + "\n})();"
    data = json.dumps(document, separators=(",", ":")).replace("<", "\\u003c")
    return Template(_asset(__package__, "frame.html")).substitute(
        policy=html.escape(
            "default-src 'none'; base-uri 'none'; form-action 'none';"
            f" style-src {_allow(style)}; script-src {_allow(script)}"
        ),
        generator=html.escape(parts.generator),
        title=html.escape(title),
        body=_asset(parts.package, "page.html"),
        style=style,
        data=data,
        script=script,
    )


def _asset(package: str, name: str) -> str:
    return files(package).joinpath(name).read_text(encoding="utf-8")


def _allow(text: str) -> str:
    """Return the source expression of a policy that allows exactly this inline text."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
