"""File trees as lists of entries, and the tar streams made of them.

A tar stream depends on its entries alone: no clock, no user, no file system
of this machine gets in, so the same entries have the same digest everywhere.
"""

import dataclasses
import hashlib
import io
import tarfile

TYPES = {
    "dir": tarfile.DIRTYPE,
    "file": tarfile.REGTYPE,
    "link": tarfile.LNKTYPE,
    "symlink": tarfile.SYMTYPE,
    "fifo": tarfile.FIFOTYPE,
    "char": tarfile.CHRTYPE,
}


@dataclasses.dataclass(frozen=True)
class Entry:
    """One member of a layer. `target` is a link's; `path` is relative."""

    path: str
    kind: str
    mode: int
    uid: int = 0
    gid: int = 0
    content: bytes = b""
    target: str = ""
    device: tuple = (0, 0)
    xattrs: tuple = ()  # of (name, ASCII value)
    mtime: int = 1_000_000_000


def directory(path, mode=0o755, **more):
    return Entry(path, "dir", mode, **more)


def file(path, content, mode=0o644, **more):
    if isinstance(content, str):
        content = content.encode()
    return Entry(path, "file", mode, content=content, **more)


def hard_link(path, target):
    return Entry(path, "link", 0o644, target=target)


def symlink(path, target):
    return Entry(path, "symlink", 0o777, target=target)


def fifo(path, mode=0o644):
    return Entry(path, "fifo", mode)


def char_device(path, major, minor, mode=0o600):
    return Entry(path, "char", mode, device=(major, minor))


def whiteout(path):
    """Removes `path` of the layers below."""
    parent, _, name = path.rpartition("/")
    return file(f"{parent}/.wh.{name}" if parent else f".wh.{name}", b"", 0)


def opaque(path):
    """Hides what the layers below have in the directory `path`."""
    return file(f"{path}/.wh..wh..opq", b"", 0)


def tar(entries):
    """The entries as an uncompressed tar stream, in their order.

    A hard link repeats the attributes of its target, as every archiver writes
    it: an unpacker may apply them to the inode again.
    """
    targets = {entry.path: entry for entry in entries}
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tf:
        for entry in entries:
            if entry.kind == "link" and entry.target in targets:
                entry = dataclasses.replace(
                    targets[entry.target], path=entry.path, kind="link",
                    target=entry.target, content=b"", xattrs=())
            info = tarfile.TarInfo(entry.path)
            info.type = TYPES[entry.kind]
            info.mode = entry.mode
            info.uid, info.gid = entry.uid, entry.gid
            info.mtime = entry.mtime
            info.size = len(entry.content)
            info.linkname = entry.target
            info.devmajor, info.devminor = entry.device
            info.pax_headers = {f"SCHILY.xattr.{name}": value
                                for name, value in entry.xattrs}
            tf.addfile(info, io.BytesIO(entry.content))
    return out.getvalue()


def flatten(layers):
    """What a container sees: {path: Entry} of the layers, lowest first.

    The rules are the OCI image specification's: a whiteout acts on the layers
    below only, wherever in the stream it stands; a directory over a directory
    keeps the children and takes the new attributes; a parent that no layer
    names is 0755 and root's.
    """
    seen = {}

    def forget_below(path):
        for other in [p for p in seen if p.startswith(path + "/")]:
            del seen[other]

    for entries in layers:
        for entry in entries:
            parent, _, name = entry.path.rpartition("/")
            if name == ".wh..wh..opq":
                forget_below(parent)
            elif name.startswith(".wh."):
                gone = f"{parent}/{name[4:]}" if parent else name[4:]
                seen.pop(gone, None)
                forget_below(gone)
        for entry in entries:
            path = entry.path
            if path.rpartition("/")[2].startswith(".wh."):
                continue
            if entry.kind != "dir":
                forget_below(path)
            if entry.kind == "link":
                entry = dataclasses.replace(seen[entry.target], path=path)
            while parent := path.rpartition("/")[0]:
                seen.setdefault(parent, directory(parent))
                path = parent
            seen[entry.path] = entry
    return seen


def listing(layers):
    """The flattened tree as text, one line a path, sorted by path:

        PATH KIND MODE UID GID SIZE SHA256-OR-TARGET

    SIZE is a regular file's, else 0; the last column is `-` for the rest.
    """
    lines = []
    for path, entry in sorted(flatten(layers).items()):
        last = "-"
        if entry.kind == "file":
            last = hashlib.sha256(entry.content).hexdigest()
        elif entry.kind == "symlink":
            last = entry.target
        lines.append(f"{path} {entry.kind} {entry.mode:o} {entry.uid} "
                     f"{entry.gid} {len(entry.content)} {last}\n")
    return "".join(lines)
