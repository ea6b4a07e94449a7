"""Numbers for what the kernel knows: a tree of names, kept while the kernel or a handle needs them.

Race-free: no method awaits.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from fuse_hdfs.files.open_file import OpenFile

ROOT: Final = 1


@dataclass(slots=True, eq=False)
class Node:
    """A file or directory that has a number."""

    inode: int
    parent: "Node | None"
    """None for the root, and for what no name leads to any more."""
    name: str
    lookups: int = 0
    """How often the kernel was told of it and has not forgotten it since."""
    file: OpenFile | None = None
    opens: int = 0
    """Handles, and calls that need the node to stay."""
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while the file is being opened, and while its name is being taken away or changed."""
    seen: str = ""
    """Identity of the version that the kernel's page cache may hold."""
    children: dict[str, "Node"] = field(default_factory=dict)

    @property
    def path(self) -> str:
        """Where it is in the volume."""
        words = []
        node = self
        while node.parent is not None:
            words.append(node.name)
            node = node.parent
        return "/".join(reversed(words))


class Nodes:
    """All nodes by number."""

    def __init__(self) -> None:
        self.root = Node(ROOT, None, "")
        self._nodes = {ROOT: self.root}
        self._next = ROOT + 1

    def at(self, inode: int) -> Node:
        """Return a node. KeyError: the kernel asks for what it was never told of."""
        return self._nodes[inode]

    def child(self, parent: Node, name: str) -> Node:
        """Return the node of a name, made if there is none."""
        node = parent.children.get(name)
        if node is None:
            node = Node(self._next, parent, name)
            self._next += 1
            self._nodes[node.inode] = parent.children[name] = node
        return node

    def forget(self, node: Node, lookups: int) -> None:
        """Count what the kernel forgets."""
        node.lookups -= lookups
        self.tidy(node)

    def tidy(self, node: Node | None) -> None:
        """Drop a node that nobody needs, and those above it that it was the last reason for."""
        while node is not None and not (
            node.lookups > 0 or node.opens or node.children or node.inode == ROOT
        ):
            del self._nodes[node.inode]
            parent = node.parent
            self.unlink(node)
            node = parent

    def unlink(self, node: Node) -> None:
        """Take a node's name away."""
        if node.parent is not None and node.parent.children.get(node.name) is node:
            del node.parent.children[node.name]
        node.parent = None

    def move(self, node: Node, parent: Node, name: str) -> None:
        """Give a node another name; one that had it has none any more."""
        present = parent.children.get(name)
        if present is not None and present is not node:
            self.unlink(present)
            self.tidy(present)
        before = node.parent
        self.unlink(node)
        node.parent, node.name = parent, name
        parent.children[name] = node
        if before is not parent:
            self.tidy(before)

    def open_files(self) -> Iterator[OpenFile]:
        """Yield the files that are open."""
        for node in list(self._nodes.values()):
            if node.file is not None:
                yield node.file
