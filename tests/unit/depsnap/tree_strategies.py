"""Trees as Hypothesis draws them: valid ones, of every kind of entry."""

import hashlib
from collections.abc import Sequence

from hypothesis import strategies as st

from depsnap.tree.entries import DIRECTORIES, Entry, Frame, Kind, Pack, Tree, parent, sort_key

NAMES = st.sampled_from(["a", "b", "lib", "x.py", "ä", "a b", "\udcff", "a.pyc"])
TIMES = st.integers(-(1 << 40), (1 << 62))


def digest(*values: object) -> str:
    return hashlib.sha256(repr(values).encode()).hexdigest()


@st.composite
def trees(draw: st.DrawFn) -> Tree:
    """Return a valid tree."""
    leaves = draw(
        st.lists(st.lists(NAMES, min_size=1, max_size=4).map("/".join), max_size=12, unique=True)
    )
    above = {path for leaf in leaves for path in _above(leaf)}
    paths = sorted(above | set(leaves), key=sort_key)
    entries = [_entry(draw, path, directory=path in above) for path in paths]
    return packed(draw, linked(draw, entries))


def _above(path: str) -> list[str]:
    found = []
    while path := parent(path):
        found.append(path)
    return found


def _entry(draw: st.DrawFn, path: str, *, directory: bool) -> Entry:
    kinds = sorted(DIRECTORIES) if directory else [Kind.FILE, Kind.SYMLINK, Kind.DELETED]
    kind = draw(st.sampled_from(kinds))
    if kind is Kind.DELETED:
        return Entry(path, kind)
    ids = st.integers(0, 70_000)
    found = Entry(path, kind, draw(st.integers(0, 0o7777)), draw(ids), draw(ids), draw(TIMES))
    if kind is Kind.SYMLINK:
        return found._replace(target=draw(st.sampled_from(["a", "../..", "/etc", "\udcff"])))
    xattrs = draw(st.lists(st.tuples(st.just("user.x"), st.binary(max_size=5)), max_size=1))
    found = found._replace(xattrs=tuple(xattrs))
    if kind is not Kind.FILE:
        return found
    size = draw(st.integers(0, 100))
    found = found._replace(size=size)
    if size >= 16 and draw(st.booleans()):
        return found._replace(stamp=draw(st.integers(0, (1 << 32) - 1)))
    if size > 10 and draw(st.booleans()):
        return found._replace(extents=draw(st.sampled_from([(), ((0, 3),), ((1, 2), (5, 5))])))
    return found


def linked(draw: st.DrawFn, entries: Sequence[Entry]) -> list[Entry]:
    """Make some files hard links to others."""
    files = [entry.path for entry in entries if entry.kind is Kind.FILE]
    if len(files) < 2 or not draw(st.booleans()):
        return list(entries)
    link, to = files[-1], files[0]
    return [
        Entry(one.path, Kind.HARDLINK, one.mode, one.uid, one.gid, one.mtime_ns, target=to)
        if one.path == link
        else one
        for one in entries
    ]


def packed(draw: st.DrawFn, entries: Sequence[Entry]) -> Tree:
    """Put the files with contents into packs."""
    found = list(entries)
    rows = [row for row, entry in enumerate(found) if entry.stored]
    packs: list[Pack] = []
    while rows:
        count = draw(st.integers(1, len(rows)))
        mine, rows = rows[:count], rows[count:]
        single = count == 1 and draw(st.booleans())
        frames: list[Frame] = []
        pending = 0
        for row in mine:
            pending += found[row].stored
            if draw(st.booleans()) or row == mine[-1]:
                frames.append(Frame(draw(st.integers(1, 99)), pending, digest(row, pending)))
                pending = 0
            found[row] = found[row]._replace(pack=len(packs))
        title = draw(st.sampled_from(["alpha 1.0", "other files"]))
        packs.append(Pack(digest(mine, title), title, single, tuple(frames)))
    root = draw(st.sampled_from(["", digest(found)]))
    return Tree(tuple(found), tuple(packs), root)
