"""Computes the Merkle root of plans/hxo/pack.yaml from the tree alone, without the engine and without its plan's script.

    merkle.py TREE SLICES < status.json      prints the root, by the cuts that `engine status --json` tells

docs/journal-format.md says how. blake3 is here in plain Python, from its paper.
"""

import hashlib
import json
import os
import struct
import sys

IV = (0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19)
ORDER = (2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8)
QUARTERS = (
    (0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15),
    (0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14),
)
MASK = 0xFFFFFFFF
START, END, ROOT = 1, 2, 8


def compress(chain, block, length, flags):
    v = list(chain) + list(IV[:4]) + [0, 0, length, flags]
    m = list(struct.unpack("<16I", block.ljust(64, b"\0")))
    for turn in range(7):
        for at, (a, b, c, d) in enumerate(QUARTERS):
            for word, (first, second) in ((m[2 * at], (16, 12)), (m[2 * at + 1], (8, 7))):
                v[a] = (v[a] + v[b] + word) & MASK
                x = v[d] ^ v[a]
                v[d] = (x >> first | x << (32 - first)) & MASK
                v[c] = (v[c] + v[d]) & MASK
                x = v[b] ^ v[c]
                v[b] = (x >> second | x << (32 - second)) & MASK
        if turn < 6:
            m = [m[at] for at in ORDER]
    return [v[at] ^ v[at + 8] for at in range(8)]


def blake3(data):
    """Of at most one chunk, 1024 bytes: all that is hashed here is shorter."""
    assert len(data) <= 1024
    blocks = [data[at:at + 64] for at in range(0, len(data), 64)] or [b""]
    chain = IV
    for at, block in enumerate(blocks):
        flags = (START if at == 0 else 0) | ((END | ROOT) if at == len(blocks) - 1 else 0)
        chain = compress(chain, block, len(block), flags)
    return struct.pack("<8I", *chain)


def leaf(first, count, outputs):
    data = b"engine shard 1\n" + struct.pack("<QQQ", first, count, len(outputs))
    for name, value in outputs:
        for part in (name.encode(), json.dumps(value, ensure_ascii=False).encode()):
            data += struct.pack("<Q", len(part)) + part
    return blake3(data + b"\0")


def root(level):
    leaves = len(level)
    while len(level) > 1:
        pairs = [level[at:at + 2] for at in range(0, len(level), 2)]
        level = [blake3(b"engine pair 1\n" + pair[0] + pair[1]) if len(pair) == 2 else pair[0] for pair in pairs]
    top = level[0] if level else bytes(32)
    return blake3(b"engine stage 1\n" + struct.pack("<Q", leaves) + top)


def ranges(cuts, items):
    """First item and number of items of each shard."""
    for at, (_, item, size) in enumerate(cuts):
        end = cuts[at + 1][1] if at + 1 < len(cuts) else items
        for first in range(item, end, size):
            yield first, min(size, end - first)


def files(tree, slices):
    """Slice, sha256, size and path of every file, in the order in which they are packed."""
    found = []
    for folder, _, names in os.walk(tree):
        for name in names:
            path = os.path.join(folder, name)
            if os.path.isfile(path) and not os.path.islink(path):
                with open(path, "rb") as file:
                    data = file.read()
                sha256 = hashlib.sha256(data).hexdigest()
                at = int(sha256[:16], 16) * slices >> 64
                found.append((at, sha256, str(len(data)), os.path.relpath(path, tree)))
    return sorted(found)


def main(tree, slices):
    assert blake3(b"").hex() == "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"
    stages = json.load(sys.stdin)["stages"]
    shards = next(stage for stage in stages if stage["id"] == "pack")["shards"]
    found, at, leaves = files(tree, slices), 0, []
    for first, count in ranges(shards["cuts"], slices):
        digest, number, size = hashlib.sha256(), 0, 0
        while at < len(found) and found[at][0] < first + count:
            _, sha256, length, path = found[at]
            digest.update(f"{sha256}  {path}\n".encode("utf-8", "surrogateescape"))
            at, number, size = at + 1, number + 1, size + int(length)
        outputs = [("files", number), ("bytes", size), ("sha256", digest.hexdigest())]
        leaves.append(leaf(first, count, outputs))
    print(root(leaves).hex())


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
