"""Who owns what is restored here: the same names as there, or whoever restores.

Only root may give files away. Anybody else owns all of it, and may not have files that run as
somebody else, nor capabilities.
"""

import grp
import os
import pwd
import stat
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from depsnap.tree.entries import Entry, Kind

_AS_ANOTHER: Final = stat.S_ISUID | stat.S_ISGID


@dataclass(frozen=True, slots=True)
class Restorer:
    """Who restores."""

    uid: int
    gid: int
    uid_of: Callable[[str], int | None]
    """Number of a user's name on this machine; None if there is none."""
    gid_of: Callable[[str], int | None]


@dataclass(frozen=True, slots=True)
class Owners:
    """Whose the files of a snapshot are to be here."""

    uid: int
    gid: int
    """Who restores."""
    uids: Mapping[int, int | None]
    gids: Mapping[int, int | None]
    """Numbers here, by those there; None: the same."""


def owners_here(users: Mapping[int, str], groups: Mapping[int, str], who: Restorer) -> Owners:
    """Return the owners here of a snapshot whose owners had these names."""
    return Owners(
        who.uid,
        who.gid,
        {number: who.uid_of(name) for number, name in users.items()},
        {number: who.gid_of(name) for number, name in groups.items()},
    )


def owned_here(entries: Iterable[Entry], owners: Owners) -> tuple[list[Entry], int]:
    """Return the entries as they are to be here, and how many lost a privilege."""
    if owners.uid != 0:
        return _own(entries, owners)
    uids, gids = owners.uids, owners.gids
    found = []
    for entry in entries:
        uid, gid = uids.get(entry.uid), gids.get(entry.gid)
        if (uid is None or uid == entry.uid) and (gid is None or gid == entry.gid):
            found.append(entry)
        else:
            found.append(
                entry._replace(
                    uid=entry.uid if uid is None else uid, gid=entry.gid if gid is None else gid
                )
            )
    return found, 0


def _own(entries: Iterable[Entry], who: Owners) -> tuple[list[Entry], int]:
    found = []
    lost = 0
    for entry in entries:
        kept = tuple(pair for pair in entry.xattrs if pair[0].startswith("user."))
        mode = entry.mode
        if entry.kind is Kind.FILE:
            mode &= ~_AS_ANOTHER
        lost += mode != entry.mode or kept != entry.xattrs
        found.append(entry._replace(uid=who.uid, gid=who.gid, mode=mode, xattrs=kept))
    return found, lost


def restorer() -> Restorer:
    """Return who we are, on this machine."""

    def uid_of(name: str) -> int | None:
        try:
            return pwd.getpwnam(name).pw_uid
        except KeyError:
            return None

    def gid_of(name: str) -> int | None:
        try:
            return grp.getgrnam(name).gr_gid
        except KeyError:
            return None

    return Restorer(os.geteuid(), os.getegid(), uid_of, gid_of)
