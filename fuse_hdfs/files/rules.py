"""How new files are laid out, by their path. Pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

from fuse_hdfs.files.writing import Striping

_TOKEN: Final = re.compile(r"\[(?P<none>!?)(?P<set>[^\]]+)\]|.", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Layout:
    """How one file is laid out when it is written."""

    striping: Striping
    small: int
    """Bytes up to which it stays plain."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A layout for some files; None leaves a thing as it is for others."""

    match: str
    """Pattern of paths in the volume, see `matches`."""
    unit: int | None = None
    stripes: int | None = None
    small: int | None = None


def layout_of(path: str, rules: Sequence[Rule], default: Layout) -> Layout:
    """Return the layout for a file: what the first rule that matches says, else the default."""
    for rule in rules:
        if matches(rule.match, path):
            striping = replace(
                default.striping,
                unit=default.striping.unit if rule.unit is None else rule.unit,
                stripes=default.striping.stripes if rule.stripes is None else rule.stripes,
            )
            return Layout(striping, default.small if rule.small is None else rule.small)
    return default


def matches(pattern: str, path: str) -> bool:
    """Say whether a pattern is that of a path.

    One without a slash is that of the last word: `*.log`. One with slashes is that of the whole
    path, where `*` and `?` stand for no slash and `**` for any number of words: `run/**/*.pt`.
    One that ends in a slash stands for all that is below: `logs/`.
    """
    if "/" not in pattern:
        return _expression(pattern).fullmatch(path.rpartition("/")[2]) is not None
    whole = f"{pattern}**" if pattern.endswith("/") else pattern
    return _expression(whole.strip("/")).fullmatch(path) is not None


@lru_cache(1_000)
def _expression(pattern: str) -> re.Pattern[str]:
    words = pattern.split("/")
    text = ""
    for number, word in enumerate(words):
        last = number == len(words) - 1
        if word == "**":
            text += ".+" if last else "(?:[^/]+/)*"
            continue
        text += _TOKEN.sub(_token, word) + ("" if last else "/")
    return re.compile(text, re.DOTALL)


def _token(found: re.Match[str]) -> str:
    """Return the expression for a part of a word."""
    if found["set"]:
        inside = re.escape(found["set"]).replace(r"\-", "-")
        return f"[{'^/' if found['none'] else ''}{inside}]"
    return {"*": "[^/]*", "?": "[^/]"}.get(found[0]) or re.escape(found[0])
