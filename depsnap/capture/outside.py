"""What a step wrote beside its roots, as far as that is cheap to see: for a warning only.

Installers write to few places. Those are listed before and after; a system has some thousand names
there.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from depsnap.capture.difference import difference
from depsnap.capture.facts import Facts
from depsnap.capture.left_out import LeftOut
from depsnap.capture.listing import list_roots
from depsnap.tree.entries import DIRECTORIES, lies_in

_PLACES: Final = ("/usr/local/bin", "/usr/local/etc", "/usr/local/share", "/etc", "/opt")
_AT_HOME: Final = (".local/bin", ".local/lib", ".config", ".ipython", ".jupyter")
_MOST: Final = 20_000
"""Names: where there are more, a place is not looked at."""
_NAMED: Final = 3


def look_outside(
    roots: tuple[Path, ...], environment: Mapping[str, str], leave: LeftOut
) -> dict[str, Facts]:
    """Return what is in the places where installers write, but for the roots."""
    inside = [str(root).strip("/") for root in roots]
    home = environment.get("HOME", "")
    places = [Path(place) for place in _PLACES]
    places += [Path(home, name) for name in _AT_HOME] if home.startswith("/") else []
    found: dict[str, Facts] = {}
    for place in places:
        name = str(place).strip("/")
        if not any(lies_in(name, root) or lies_in(root, name) for root in inside):
            listed = list_roots([place], leave, _MOST)
            found |= listed if len(listed) < _MOST else {}
    return found


def remark_on(before: Mapping[str, Facts], after: Mapping[str, Facts]) -> tuple[str, ...]:
    """Return a line about what was changed there; nothing where nothing was."""
    changed = [f"/{path}" for path, kind in difference(before, after) if kind not in DIRECTORIES]
    if not changed:
        return ()
    more = f" and {len(changed) - _NAMED} more" if len(changed) > _NAMED else ""
    named = ", ".join(changed[:_NAMED])
    return (f"the command changed {named}{more} outside of the roots: that is not kept (--root)",)
