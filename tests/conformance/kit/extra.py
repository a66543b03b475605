"""The images of our own integration tests; see catalog.py for the groups."""

import random

from kit.image import Image, Index, Layer
from kit.rootfs import program
from kit.tree import (char_device, directory, fifo, file, hard_link, opaque,
                      symlink, whiteout)

OURS = "registry.k8s.io/pinion-test/"

# VFS_CAP_REVISION_2, effective; permitted: CAP_NET_RAW.
NET_RAW = "\x01\x00\x00\x02\x00\x20\x00\x00" + "\x00" * 12


def layered():
    """Three layers that use everything a layer can say."""
    long_name = "long/" + "n" * 120 + "/" + "m" * 150
    first = [
        directory("kept", 0o750, uid=1234, gid=5678),
        file("kept/file", "first\n", 0o640, uid=1234, gid=5678),
        directory("removed"), file("removed/file", "gone\n"),
        directory("part"), file("part/gone", "gone\n"),
        file("part/stays", "stays\n"),
        directory("opaque"), file("opaque/old", "old\n"),
        directory("opaque/olddir"), file("opaque/olddir/file", "old\n"),
        directory("becomes-file"), file("becomes-file/inner", "gone\n"),
        file("becomes-dir", "gone\n"),
        directory("links"),
        file("links/one", "linked\n", 0o600, uid=7, gid=8),
        hard_link("links/two", "links/one"),
        hard_link("links/three", "links/one"),
        symlink("links/relative", "one"),
        symlink("links/absolute", "/links/one"),
        symlink("links/dangling", "nowhere"),
        directory("modes"),
        file("modes/setuid", "x", 0o4755), file("modes/setgid", "x", 0o2755),
        directory("modes/sticky", 0o1777),
        file("modes/high-ids", "x", uid=4_000_000, gid=4_000_001),
        directory("xattrs"),
        file("xattrs/user", "x",
             xattrs=(("user.pinion", "value"), ("user.other", "more"))),
        file("xattrs/capability", "x", 0o755,
             xattrs=(("security.capability", NET_RAW),)),
        fifo("modes/fifo", 0o620),
        file(long_name, "long\n"),
        file("names/ünï cödé\ttab", "name\n"),
        file("names/-dash", "name\n"), file("names/...", "name\n"),
        file("implied/parents/file", "no entry names the parents\n"),
        file("empty", ""), file("times", "x", mtime=86_400),
        file("pause", program("pause"), 0o755),
    ]
    second = [
        whiteout("removed"), whiteout("part/gone"),
        directory("opaque", 0o700, uid=9), opaque("opaque"),
        file("opaque/new", "new\n"),
        file("becomes-file", "a file\n"),
        whiteout("becomes-dir"), directory("becomes-dir"),
        file("becomes-dir/inner", "inner\n"),
        file("kept/file", "second\n", 0o604, uid=1, gid=2),
        file("back", "second\n"), whiteout("never-there"),
    ]
    third = [
        whiteout("back"), file("links/two", "a file of its own\n"),
        directory("removed", 0o711), file("removed/new", "again\n"),
    ]
    return [Layer(first), Layer(second), Layer(third)]


def implied_parents():
    """A second layer writes into a directory that only the first describes."""
    return [
        Layer([file("pause", program("pause"), 0o755),
               directory("data", 0o710, uid=11, gid=12),
               directory("data/private", 0o700, uid=1234, gid=5678),
               file("data/private/old", "old\n")]),
        Layer([file("data/private/new", "new\n")]),
    ]


def platforms(make_image, flavour):
    """A manifest list. Each image says in /platform what it is for."""
    def one(architecture, system="linux", variant=None):
        name = "/".join(filter(None, (system, architecture, variant)))
        return make_image(more=[file("platform", name + "\n")],
                          flavour=flavour, architecture=architecture,
                          system=system, variant=variant)
    images = [one("arm", variant="v7"), one("arm64", variant="v8"),
              one("amd64", "windows"), one("amd64"), one("s390x")]
    if flavour == "oci":
        # What build tools add for attestations: never to be chosen.
        images.append(one("unknown", "unknown"))
    return Index(images, flavour)


def extra(make_image):
    shared = [Layer([file(f"layer-{n}", f"{n}\n" * 1000)]) for n in range(8)]
    text = [file("data", "the quick brown fox\n" * 5000)]
    return {
        OURS + "layered:1": Image(layered(), {"Cmd": ["/pause"]}),
        OURS + "implied-parents:1": Image(implied_parents(),
                                           {"Cmd": ["/pause"]}),
        OURS + "gzip:1": Image([Layer(text)]),
        OURS + "zstd:1": Image([Layer(text, "zstd")]),
        OURS + "plain:1": Image([Layer(text, "none")]),
        OURS + "mixed:1": Image(
            [Layer([file("a", "a\n")], "gzip"),
             Layer([file("b", "b\n")], "zstd"),
             Layer([file("c", "c\n")], "none")]),
        OURS + "schema2:1": Image([Layer(text)], flavour="docker"),
        OURS + "schema2-plain:1": Image([Layer(text, "none")],
                                        flavour="docker"),
        OURS + "platforms:1": platforms(make_image, "oci"),
        OURS + "platforms-schema2:1": platforms(make_image, "docker"),
        OURS + "foreign:1": Image([Layer(text)], architecture="s390x"),
        OURS + "foreign-only:1": Index(
            [Image([Layer(text)], architecture="s390x")]),
        # Two images that share seven of their eight layers.
        OURS + "shared-a:1": Image(shared),
        OURS + "shared-b:1": Image(shared[:7] + [Layer([file("b", "b\n")])]),
        # The same layer twice in one image.
        OURS + "twice:1": Image([shared[0], shared[1], shared[0]]),
        OURS + "settings:1": make_image({
            "Entrypoint": ["/bin/sh", "-c"],
            "Cmd": ["echo $GREETING from $(pwd) as $(id -u):$(id -g)"],
            "Env": ["GREETING=hello", "PATH=/bin"], "User": "1002:1003",
            "WorkingDir": "/work/here", "StopSignal": "SIGUSR1",
            "Volumes": {"/volume": {}}, "Labels": {"kit": "settings"}}),
    }


def hostile(make_image):
    """Each tries to touch /pn-hostile-* on the host or to read from it."""
    def one(*entries):
        return make_image(more=entries)
    inner = file("pn-hostile-inner", "x")
    return {
        OURS + "hostile-dotdot:1": one(
            file("../../../../../../pn-hostile-dotdot", "out")),
        OURS + "hostile-absolute:1": one(file("/pn-hostile-absolute", "out")),
        OURS + "hostile-symlink:1": one(
            symlink("door", "/tmp"), file("door/pn-hostile-symlink", "out")),
        OURS + "hostile-symlink-dotdot:1": one(
            symlink("door", "../../../../../../../../tmp"),
            file("door/pn-hostile-symlink-dotdot", "out")),
        OURS + "hostile-hardlink:1": one(
            hard_link("shadow", "../../../../../../../../etc/shadow")),
        OURS + "hostile-hardlink-absolute:1": one(
            hard_link("shadow", "/etc/shadow")),
        OURS + "hostile-hardlink-symlink:1": one(
            symlink("door", "/etc"), hard_link("shadow", "door/shadow")),
        OURS + "hostile-whiteout:1": one(file(".wh...", ""), inner),
        OURS + "hostile-whiteout-dot:1": one(file(".wh..", ""), inner),
        OURS + "hostile-whiteout-symlink:1": one(
            symlink("door", "/tmp"), file("door/.wh.pn-hostile-victim", "")),
        OURS + "hostile-device:1": one(char_device("dev/mem", 1, 1)),
        OURS + "hostile-overlay-xattr:1": one(
            directory("plain"),
            file("redirect", "x",
                 xattrs=(("trusted.overlay.redirect", "/etc"),
                         ("trusted.overlay.opaque", "y")))),
        OURS + "hostile-whiteout-device:1": one(char_device("kept", 0, 0)),
        OURS + "hostile-user:1": make_image({"User": "no-such-user"}),
        OURS + "hostile-volume:1": make_image(
            {"Volumes": {"/../../../../tmp/pn-hostile-volume": {}}}),
    }


def big():
    """8 layers that compress about 2 to 1 by both of deflate's means, as
    system files do: an uneven alphabet, and strings that come again."""
    alphabet = bytes(int((value / 256) ** 2 * 256) for value in range(256))

    def layer(number):
        source = random.Random(number)

        def noise(size):
            return source.randbytes(size).translate(alphabet)

        entries = [directory(f"layer-{number}")]
        for index in range(60):
            again = noise(1536)
            data = b"".join(noise(2560) + again for _ in range(223))
            entries.append(file(f"layer-{number}/file-{index}", data, 0o755))
        return Layer(entries)
    return {OURS + "big:1": Image([layer(n) for n in range(8)])}
