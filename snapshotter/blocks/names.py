"""Layer and index -> short name <-> inode number. Pure.

A served layer's directory, block file and inode are all named by 12 hex digits of a hash over the
layer's digest and its index': short, because overlayfs' lowerdir option must fit into a page;
derived, because a server that takes over must find the same inode numbers; over both, because
what one image's index says of a layer must never be what another image's containers read. 48 bits
do not exclude that two pairs share a name: whoever opens a layer's directory compares the whole
digests and refuses the second.
"""

import hashlib
import re
from typing import Final, NewType

LayerName = NewType("LayerName", str)
Inode = NewType("Inode", int)

LOCAL: Final = "local"
"""In the place of an index digest: the node derived the index from the layer itself."""
ROOT_INODE: Final = Inode(1)
_FIRST: Final = 2
_DIGITS: Final = 12
_NAME: Final = re.compile(rf"[0-9a-f]{{{_DIGITS}}}")
_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")


def name_of(layer_digest: str, index_digest: str) -> LayerName:
    """Return the short name of a layer as one index describes it.

    Args:
        layer_digest: `sha256:` and 64 hex digits, as the image manifest has it.
        index_digest: likewise, of the index file; `LOCAL` for an index made on this node.

    Raises:
        ValueError: not a digest.
    """
    for digest in (layer_digest, index_digest):
        if digest != LOCAL and not _DIGEST.fullmatch(digest):
            raise ValueError(f"not a sha256 digest: {digest!r}")
    pair = f"{layer_digest}\n{index_digest}".encode()
    return LayerName(hashlib.sha256(pair).hexdigest()[:_DIGITS])


def parse_name(text: str) -> LayerName | None:
    """Return `text` as a layer name if it has the form of one."""
    return LayerName(text) if _NAME.fullmatch(text) else None


def inode_of(name: LayerName) -> Inode:
    """Return the inode number of a layer's block file."""
    return Inode(int(name, 16) + _FIRST)


def name_at(inode: int) -> LayerName | None:
    """Return the name whose inode number this is, if it can be one."""
    return parse_name(f"{inode - _FIRST:0{_DIGITS}x}") if inode >= _FIRST else None
