"""Readers of hot records and packs, written from the documents and not from our code."""

import hashlib
import struct

import zstandard

BLOCK = 4096


def columns(data: bytes, count: int, *shapes: tuple[int, bool]) -> list[list[int]]:
    """Read byte planes; (width, delta) for each column."""
    found, at = [], 0
    for width, delta in shapes:
        planes = [data[at + plane * count : at + (plane + 1) * count] for plane in range(width)]
        at += width * count
        values = [int.from_bytes(bytes(row), "little") for row in zip(*planes, strict=True)]
        if delta:
            total, sums = 0, []
            for value in values:
                total += value // 2 if value % 2 == 0 else -(value + 1) // 2
                sums.append(total % 2**64)
            values = sums
        found.append(values)
    assert at == len(data)
    return found


def read_record(file: bytes) -> dict[str, object]:
    assert file[:8] == b"BSEERHOT"
    version, stored, size = struct.unpack_from("<III", file, 8)
    assert version == 1
    body = file[52:]
    assert len(body) == stored
    assert hashlib.sha256(body).digest() == file[20:52]
    body = zstandard.ZstdDecompressor().decompress(body)
    assert len(body) == size
    created, window, length, ended = struct.unpack_from("<QIIB", body, 32)
    workload, kernel, architecture, layers, ranges = struct.unpack_from("<HHHHI", body, 52)
    at, texts = 64, []
    for size in (workload, kernel, architecture):
        texts.append(body[at : at + size].decode())
        at += size
    rows = [body[at + 72 * row : at + 72 * (row + 1)] for row in range(layers)]
    at += 72 * layers
    return {
        "manifest": body[:32].hex(),
        "numbers": (created, window, length, ended),
        "texts": tuple(texts),
        "layers": [(r[:32].hex(), r[32:64].hex(), int.from_bytes(r[64:], "little")) for r in rows],
        "ranges": columns(body[at:], ranges, (2, False), (4, True), (4, False), (4, True)),
    }


def read_pack(file: bytes, roots: dict[str, bytes]) -> dict[str, list[tuple[int, bytes]]]:
    """Return the (block number, bytes) of each layer's hot area, all checked."""
    assert file[:8] == b"BSEERPCK"
    version, per_frame, layer_count, range_count, blocks, stored = struct.unpack_from(
        "<IIIIII", file, 8
    )
    hash_bytes, size, digest = struct.unpack_from("<QQ32s", file, 32)
    assert (version, size) == (1, len(file))
    frames = -(-blocks // per_frame)
    hashes_at = 80 + stored + 4 * frames
    assert hashlib.sha256(file[:48] + file[80:hashes_at]).digest() == digest
    body = zstandard.ZstdDecompressor().decompress(file[80 : 80 + stored])
    rows = [body[104 * row : 104 * (row + 1)] for row in range(layer_count)]
    ranges = columns(body[104 * layer_count :], range_count, (2, False), (4, True), (4, False))
    order = [
        (layer, first + step)
        for layer, first, count in zip(*ranges, strict=True)
        for step in range(count)
    ]
    assert len(order) == blocks
    hashes = file[hashes_at : hashes_at + hash_bytes]
    leaves: dict[tuple[int, int], bytes] = {}
    for number, row in enumerate(rows):
        wanted = {block for layer, block in order if layer == number}
        data_blocks = int.from_bytes(row[64:72], "little") // BLOCK
        root, found, hashes = read_proof(hashes, data_blocks, wanted)
        assert root == row[72:] == roots[row[:32].hex()]
        leaves |= {(number, block): value for block, value in found.items()}
    assert not hashes
    areas: dict[str, list[tuple[int, bytes]]] = {row[:32].hex(): [] for row in rows}
    at = hashes_at + hash_bytes
    for frame in range(frames):
        part = order[frame * per_frame : (frame + 1) * per_frame]
        length = int.from_bytes(file[80 + stored + 4 * frame :][:4], "little")
        data, at = file[at : at + length], at + length
        if length != len(part) * BLOCK:
            data = zstandard.ZstdDecompressor().decompress(data)
        assert len(data) == len(part) * BLOCK
        for row, (layer, block) in enumerate(part):
            content = data[row * BLOCK : (row + 1) * BLOCK]
            assert hashlib.sha256(content).digest() == leaves[layer, block]
            areas[rows[layer][:32].hex()].append((block, content))
    assert at == len(file)
    return areas


def read_proof(hashes: bytes, size: int, wanted: set[int]) -> tuple[bytes, dict[int, bytes], bytes]:
    """Return the root, the hashes of level 0, and the hashes that are left."""
    groups = sorted({block // 128 for block in wanted})
    known: dict[int, bytes] = {}
    bottom: dict[int, bytes] | None = None
    while True:
        level = dict(known)
        for group in groups:
            for number in range(group * 128, min((group + 1) * 128, size)):
                if number not in known:
                    level[number], hashes = hashes[:32], hashes[32:]
        bottom = level if bottom is None else bottom
        if size == 1:
            return level[0], bottom, hashes
        known = {}
        for group in groups:
            members = [level.get(group * 128 + n, bytes(32)) for n in range(128)]
            known[group] = hashlib.sha256(b"".join(members)).digest()
        if size <= 128:
            return known[0], bottom, hashes
        size = -(-size // 128)
        groups = sorted({group // 128 for group in groups})
