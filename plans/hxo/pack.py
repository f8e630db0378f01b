"""The body of plans/hxo/pack.yaml: `index TREE SLICES INDEX`, and `pack TREE INDEX ITEMS` for one shard."""

import bisect
import hashlib
import os
import sys


def content(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def index(tree, slices, target):
    """Every file with its slice, its sha256 and its size, sorted."""
    lines = []
    for folder, _, names in os.walk(tree):
        for name in names:
            path = os.path.join(folder, name)
            if os.path.islink(path) or not os.path.isfile(path):
                continue
            sha256 = content(path)
            at = int(sha256[:16], 16) * int(slices) >> 64
            relative = os.path.relpath(path, tree)
            lines.append(f"{at:07}\t{sha256}\t{os.path.getsize(path)}\t{relative}\n")
    lines.sort()
    os.makedirs(os.path.dirname(target), exist_ok=True)
    with open(target + ".new", "w", encoding="utf-8", errors="surrogateescape") as file:
        file.writelines(lines)
    os.replace(target + ".new", target)
    print(f"{len(lines)} files in {slices} slices")
    write(files=len(lines))


def pack(tree, index_path, items):
    """The files of the shard's slices, read again and checked against the index, as one digest."""
    with open(items, encoding="ascii") as file:
        slices = file.read().split()
    with open(index_path, encoding="utf-8", errors="surrogateescape") as file:
        lines = file.readlines()
    first = bisect.bisect_left(lines, f"{int(slices[0]):07}")
    last = bisect.bisect_left(lines, f"{int(slices[-1]) + 1:07}")
    digest, files, size = hashlib.sha256(), 0, 0
    for line in lines[first:last]:
        _, sha256, length, relative = line.rstrip("\n").split("\t", 3)
        if content(os.path.join(tree, relative)) != sha256:
            sys.exit(f"{relative} has changed since it was indexed")
        digest.update(f"{sha256}  {relative}\n".encode("utf-8", "surrogateescape"))
        files, size = files + 1, size + int(length)
    write(files=files, bytes=size, sha256=digest.hexdigest())


def write(**values):
    with open(os.environ["ENGINE_OUTPUT"], "a", encoding="utf-8") as file:
        file.writelines(f"{name}={value}\n" for name, value in values.items())


if __name__ == "__main__":
    {"index": index, "pack": pack}[sys.argv[1]](*sys.argv[2:])
