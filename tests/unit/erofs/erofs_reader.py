"""A reader of EROFS metadata images, written from the specification and not from our writer."""

import stat
import struct
from dataclasses import dataclass

BLOCK = 4096


@dataclass
class Inode:
    nid: int
    mode: int
    size: int
    address: int
    uid: int
    gid: int
    mtime: tuple[int, int]
    nlink: int
    layout: int
    xattrs: dict[bytes, bytes]
    inline_at: int


class Image:
    def __init__(self, image: bytes) -> None:
        self.image = image
        sb = image[1024 : 1024 + 128]
        self.magic, self.checksum, self.compat = struct.unpack_from("<III", sb)
        self.root_nid = struct.unpack_from("<H", sb, 14)[0]
        self.inos = struct.unpack_from("<Q", sb, 16)[0]
        self.blocks, self.meta, self.xattr_block = struct.unpack_from("<III", sb, 36)
        self.uuid = sb[48:64]
        self.incompat = struct.unpack_from("<I", sb, 80)[0]
        self.extra_devices, slot = struct.unpack_from("<HH", sb, 86)
        self.devices = [
            struct.unpack_from("<II", image, (slot + row) * 128 + 64)
            for row in range(self.extra_devices)
        ]

    def inode(self, nid: int) -> Inode:
        at = self.meta * BLOCK + nid * 32
        fmt, icount, mode, _, size, u, _ino, uid, gid, mtime, ns, nlink = struct.unpack_from(
            "<HHHHQIIIIQII", self.image, at
        )
        assert fmt & 1, "extended inode"
        assert at % BLOCK + 64 <= BLOCK, "inode inside one block"
        xattr_size = 12 + 4 * (icount - 1) if icount else 0
        return Inode(
            nid=nid,
            mode=mode,
            size=size,
            address=u,
            uid=uid,
            gid=gid,
            mtime=(mtime, ns),
            nlink=nlink,
            layout=fmt >> 1,
            xattrs=self.xattrs(at + 64, xattr_size),
            inline_at=at + 64 + xattr_size,
        )

    def xattrs(self, at: int, size: int) -> dict[bytes, bytes]:
        if not size:
            return {}
        found = {}
        count = self.image[at + 4]
        for reference in struct.unpack_from(f"<{count}I", self.image, at + 12):
            self.entry(self.xattr_block * BLOCK + reference * 4, found)
        end, at = at + size, at + 12 + 4 * count
        while at < end:
            at = self.entry(at, found)
        assert at == end
        return found

    def entry(self, at: int, found: dict[bytes, bytes]) -> int:
        prefixes = {
            1: b"user.",
            2: b"system.posix_acl_access",
            3: b"system.posix_acl_default",
            4: b"trusted.",
            6: b"security.",
        }
        name_len, index, value_len = struct.unpack_from("<BBH", self.image, at)
        name = prefixes[index] + self.image[at + 4 : at + 4 + name_len]
        assert name not in found
        found[name] = self.image[at + 4 + name_len : at + 4 + name_len + value_len]
        return at + -(-(4 + name_len + value_len) // 4) * 4

    def content(self, inode: Inode) -> bytes:
        """Bytes of a directory or a symlink, which are in the metadata."""
        start = inode.address * BLOCK
        if inode.layout == 0:
            return self.image[start : start + inode.size]
        assert inode.layout == 2
        tail = inode.size % BLOCK
        whole = inode.size - tail
        assert inode.inline_at % BLOCK + tail <= BLOCK, "inline data inside one block"
        return (
            self.image[start : start + whole] + self.image[inode.inline_at : inode.inline_at + tail]
        )

    def entries(self, inode: Inode) -> list[tuple[bytes, int, int]]:
        """(name, nid, file type) of a directory, in the order on disk."""
        assert stat.S_ISDIR(inode.mode)
        content = self.content(inode)
        found = []
        for start in range(0, len(content), BLOCK):
            block = content[start : start + BLOCK]
            heads = [
                struct.unpack_from("<QHBB", block, at)
                for at in range(0, struct.unpack_from("<H", block, 8)[0], 12)
            ]
            ends = [head[1] for head in heads[1:]] + [len(block)]
            found += [
                (block[head[1] : end].split(b"\0")[0], head[0], head[2])
                for head, end in zip(heads, ends, strict=True)
            ]
        return found

    def extents(self, inode: Inode) -> list[tuple[int, int]]:
        """(device number, block on it) of every block of a regular file."""
        count = -(-inode.size // BLOCK)
        if inode.layout == 4:
            assert inode.address == 0x20, "8-byte entries, chunks of one block"
            at = -(-inode.inline_at // 8) * 8
            entries = struct.iter_unpack("<HHI", self.image[at : at + 8 * count])
            return [(device, low | high << 32) for high, device, low in entries]
        assert inode.layout == 0
        for number, (blocks, mapped) in enumerate(self.devices, 1):
            if mapped <= inode.address < mapped + blocks:
                return [(number, inode.address - mapped + row) for row in range(count)]
        assert not count, "an address on no device"
        return []
