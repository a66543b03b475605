"""The file trees of the test images.

busybox is Debian's dynamically linked one with its libraries, its applets as
hard links: the static one's shell runs applets inside itself, which defeats
what several specs look at.
"""

import functools
import os
import pathlib
import re
import shutil
import subprocess
import tempfile

from kit.tree import directory, file, hard_link, symlink

SOURCES = pathlib.Path(__file__).resolve().parent.parent / "images"

PASSWD = """\
root:x:0:0:root:/root:/bin/sh
daemon:x:1:1:daemon:/usr/sbin:/bin/false
www-data:x:33:33:www-data:/var/www:/bin/false
nobody:x:65534:65534:nobody:/home:/bin/false
"""
GROUP = """\
root:x:0:
daemon:x:1:
tty:x:5:
www-data:x:33:
users:x:100:
nogroup:x:65534:
"""


class MissingTool(Exception):
    pass


def tool(name):
    path = shutil.which(name)
    if not path:
        raise MissingTool(f"{name} is missing (see packages.txt)")
    return path


@functools.cache
def program(name):
    """The bytes of our C program images/NAME.c, linked statically."""
    with tempfile.TemporaryDirectory(prefix="pn-kit-") as scratch:
        out = pathlib.Path(scratch) / name
        subprocess.run(
            [tool("cc"), "-std=gnu11", "-O2", "-s", "-static", "-Wall",
             "-Wextra", "-Wshadow", "-Wconversion", "-Werror",
             "-Wl,--build-id=none", "-o", str(out),
             str(SOURCES / f"{name}.c")], check=True)
        return out.read_bytes()


def libraries(binary):
    """What a program is linked with; empty for a static one."""
    linked = subprocess.run(["ldd", binary], check=False, text=True,
                            stdout=subprocess.PIPE,
                            stderr=subprocess.DEVNULL).stdout
    return re.findall(r"(/\S+) \(0x", linked)


@functools.cache
def dynamic_busybox():
    """Path of Debian's dynamic busybox: the installed one, else, where
    busybox-static took its place (the two exclude each other), the one in the
    package, unpacked into the cache."""
    installed = shutil.which("busybox")
    if installed and libraries(installed):
        return installed
    cache = pathlib.Path(os.environ.get("PINION_CACHE")
                         or "~/.cache/pinion").expanduser() / "busybox"
    unpacked = cache / "bin" / "busybox"
    if not unpacked.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as scratch:
            subprocess.run([tool("apt-get"), "-qq", "download", "busybox"],
                           cwd=scratch, check=True)
            package, = pathlib.Path(scratch).glob("busybox_*.deb")
            subprocess.run(["dpkg-deb", "-x", str(package), scratch],
                           check=True)
            unpacked.parent.mkdir(exist_ok=True)
            (pathlib.Path(scratch) / "bin" / "busybox").rename(unpacked)
    return str(unpacked)


def busybox_files():
    """busybox and what it is linked with: [(path in the image, host path)]."""
    binary = dynamic_busybox()
    return [("bin/busybox", binary)] + [(path.lstrip("/"), path)
                                        for path in libraries(binary)]


def parents(paths):
    """Every directory above the paths, each once, outermost first."""
    found = {str(parent) for path in paths
             for parent in pathlib.PurePosixPath(path).parents}
    return sorted(found - {"."})


@functools.cache
def busybox(more_passwd="", more_group=""):
    """The busybox image's entries."""
    programs = busybox_files()
    applets = subprocess.run([dynamic_busybox(), "--list"], check=True,
                             text=True, stdout=subprocess.PIPE).stdout.split()
    paths = [path for path, _ in programs]
    entries = [directory(path) for path in sorted(
        {*parents(paths), "bin", "dev", "etc", "home", "proc", "sys", "usr",
         "usr/bin", "usr/sbin", "sbin", "var", "var/run", "var/www"})]
    entries += [directory("root", 0o700), directory("tmp", 0o1777),
                directory("var/tmp", 0o1777)]
    entries += [file(path, pathlib.Path(source).read_bytes(), 0o755)
                for path, source in programs]
    entries += [hard_link(f"bin/{applet}", "bin/busybox")
                for applet in applets if applet not in ("busybox", "[[")]
    entries += [file(f"bin/{name}", program(name), 0o755)
                for name in ("pgrep", "ipcs")]
    entries += [
        file("etc/passwd", PASSWD + more_passwd),
        file("etc/group", GROUP + more_group),
        file("etc/nsswitch.conf", "passwd: files\ngroup: files\n"),
        symlink("usr/bin/env", "../../bin/env"),
    ]
    return tuple(entries)
