"""What differs between two keys, in words. Pure."""

import difflib
from collections.abc import Sequence

from depsnap.key.ingredients import Ingredient

_SHOWN = 5
"""Lines that are named of one ingredient."""


def explain(old: Sequence[Ingredient], new: Sequence[Ingredient]) -> list[str]:
    """Return what is different in `new`, a line each; empty if nothing is."""
    before = {one.name: one for one in old}
    after = {one.name: one for one in new}
    found = []
    for one in new:
        known = before.get(one.name)
        if known is None:
            found.append(f"{one.name} is new")
        elif known.digest != one.digest:
            found += _changes(known, one)
    found += [f"{one.name} is gone" for one in old if one.name not in after]
    return found


def _changes(old: Ingredient, new: Ingredient) -> list[str]:
    """Return the changes of one ingredient, line by line where that says something."""
    if not (old.detail and new.detail) or old.detail == new.detail:
        return [f"{new.name} changed"]
    if len(old.detail) == len(new.detail) == 1:
        return [f"{new.name} changed: {old.detail[0]} -> {new.detail[0]}"]
    found = []
    matcher = difflib.SequenceMatcher(None, old.detail, new.detail, autojunk=False)
    for kind, first, last, start, end in matcher.get_opcodes():
        if kind == "replace" and last - first == end - start:
            found += [
                f"{new.name} line {start + at + 1} changed: {was} -> {now}"
                for at, (was, now) in enumerate(
                    zip(old.detail[first:last], new.detail[start:end], strict=True)
                )
            ]
        elif kind != "equal":
            gone = [f"{new.name} line {first + 1} is gone: {x}" for x in old.detail[first:last]]
            come = [f"{new.name} line {start + 1} is new: {x}" for x in new.detail[start:end]]
            found += gone + come
    if len(found) > _SHOWN:
        return [*found[:_SHOWN], f"{new.name}: {len(found) - _SHOWN} more lines changed"]
    return found
