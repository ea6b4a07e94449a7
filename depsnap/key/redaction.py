"""Secrets out of texts: they are neither part of a key nor stored anywhere. Pure."""

import re
from typing import Final

_REMOVED: Final = "***"
_IN_ADDRESS: Final = re.compile(r"(://)[^/@\s'\"]+@")
_IN_QUERY: Final = re.compile(
    r"(?i)([?&](?:sig|signature|token|api[_-]?key|password|[\w-]*(?:signature|credential|"
    r"security-token))=)[^&\s'\"]+"
)
_IN_OPTION: Final = re.compile(r"(?i)(--[\w-]*(?:password|token|secret|api-key|auth)[\w-]*[= ])\S+")
_SECRET_NAME: Final = re.compile(r"(?i)passw|secret|token|credential|api_?key|auth|_pat$")


def redact_text(text: str) -> str:
    """Return a text without what stands for a user in an address, tokens in queries and options."""
    if "://" in text:
        text = _IN_QUERY.sub(rf"\1{_REMOVED}", _IN_ADDRESS.sub(r"\1", text))
    return _IN_OPTION.sub(rf"\1{_REMOVED}", text) if "--" in text else text


def redact_words(words: list[str]) -> list[str]:
    """Return a command without secrets, also where one is the word behind its option."""
    found: list[str] = []
    for number, word in enumerate(words):
        before = words[number - 1] if number else ""
        follows = before.startswith("--") and "=" not in before and is_secret_name(before)
        found.append(_REMOVED if follows and not word.startswith("-") else redact_text(word))
    return found


def is_secret_name(name: str) -> bool:
    """Say whether a variable or an option of this name holds a secret."""
    return _SECRET_NAME.search(name) is not None
