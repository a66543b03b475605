"""Prints a file tree in the form of `registry listing`, to compare the two.

    walk.py ROOT LISTING

Only what lies below the listing's top names is looked at: a runtime adds
/proc, /dev and the like.
"""

import hashlib
import os
import stat
import sys

KINDS = {stat.S_IFDIR: "dir", stat.S_IFREG: "file", stat.S_IFLNK: "symlink",
         stat.S_IFIFO: "fifo", stat.S_IFCHR: "char", stat.S_IFBLK: "block",
         stat.S_IFSOCK: "socket"}


def describe(root, path):
    full = os.path.join(root, path)
    status = os.lstat(full)
    kind = KINDS[stat.S_IFMT(status.st_mode)]
    size, last = 0, "-"
    if kind == "file":
        size = status.st_size
        with open(full, "rb") as file:
            last = hashlib.file_digest(file, "sha256").hexdigest()
    elif kind == "symlink":
        last = os.readlink(full)
    return (f"{path} {kind} {stat.S_IMODE(status.st_mode):o} "
            f"{status.st_uid} {status.st_gid} {size} {last}")


def walk(root, top):
    yield top
    if stat.S_ISDIR(os.lstat(os.path.join(root, top)).st_mode):
        for name in os.listdir(os.path.join(root, top)):
            yield from walk(root, f"{top}/{name}")


def main(root, listing):
    with open(listing, encoding="utf-8") as file:
        tops = {line.split(" ", 1)[0].partition("/")[0] for line in file}
    present = [top for top in tops if os.path.lexists(os.path.join(root, top))]
    for path in sorted(path for top in present for path in walk(root, top)):
        print(describe(root, path))


if __name__ == "__main__":
    main(*sys.argv[1:])
