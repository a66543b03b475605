#!/usr/bin/env python3
"""Checks the order of the layers (docs/architecture.md) in a source tree.

Over every #include and every CMake link line: who may know whom, where gRPC
and protobuf may be seen, what the monitor must not know. And the house rules
that a program can check: the size of files, a README per folder.

  check_layers.py TREE      prints each violation; exit status 1 if any
"""

import fnmatch
import os
import re
import statistics
import sys

# What each folder may include and link, besides itself. A file belongs to the
# longest prefix. The order is total but for {network, image}, which do not
# know each other.
_BELOW_OS = {"base"}
_ABOVE_OS = {"metrics", "os"} | _BELOW_OS
_RUNTIME_PARTS = {"runtime/cgroup", "runtime/cpu", "runtime/plan",
                  "runtime/launch", "runtime/monitor"}
MAY_KNOW = {
    "base": set(),
    "os": _BELOW_OS,
    "metrics": {"os", "base"},
    "ipam": _ABOVE_OS,
    "network": _ABOVE_OS | {"ipam"},
    "image": _ABOVE_OS,
    "runtime/launch": set(),
    "runtime/monitor": _ABOVE_OS | {"runtime/launch"},
    "runtime/cgroup": _ABOVE_OS,
    "runtime/cpu": _ABOVE_OS,
    "runtime/plan": _ABOVE_OS | {"runtime/cgroup", "runtime/launch", "image"},
    "runtime": _ABOVE_OS | _RUNTIME_PARTS | {"network", "image", "ipam"},
    # Of the runtime only the contract of a process's streams.
    "cri/streaming": _ABOVE_OS | {"runtime"},
    "cri": _ABOVE_OS | {"cri/streaming", "runtime", "runtime/cgroup", "image",
                        "network"},
    "daemon": _ABOVE_OS | _RUNTIME_PARTS | {"cri", "cri/streaming", "runtime", "image",
                                            "network", "ipam"},
    "tools": _ABOVE_OS | {"daemon", "ipam", "network", "runtime/cgroup"},
}

# Generated headers, and the folders that may see them.
PROTO_FOLDERS = {
    "state.pb.h": {"runtime", "runtime/cgroup", "runtime/plan", "cri"},
    "runtime/v1/api.pb.h": {"cri", "tools"},
    "admin.pb.h": {"cri", "tools"},
}
PROTO_TARGETS = {
    "pinion_state_proto": {"runtime", "runtime/cgroup", "runtime/plan", "cri"},
    "pinion_cri_proto": {"cri", "tools"},
    "pinion_admin_proto": {"cri", "tools"},
    "pinion_cri_proto_grpc": {"cri", "daemon"},
    "pinion_admin_proto_grpc": {"cri"},
}

# The only files that see gRPC: the rest of the tree compiles without it.
GRPC_FILES = ["cri/grpc_*_service.cc", "cri/grpc_event_stream.*",
              "cri/grpc_status.h", "cri/grpc_stream_list.h", "cri/server.cc",
              "daemon/self_check.cc", "tools/cri_client.cc"]
GRPC_TARGET = "PkgConfig::grpc__"

# The only place where CRI messages and the domain's records meet.
TRANSLATE = ["cri/translate_*"]

# Of runtime/monitor, what runs in the daemon and may know os/ and Abseil.
MONITOR_CLIENT = ["runtime/monitor/client*", "runtime/monitor/monitor_image.*"]

# Wire contracts and data are as long as they are.
MAX_LINES = 600
MAX_README_LINES = 40
MEDIAN_LINES = 150
SOURCE = (".cc", ".h")
SCRIPT = (".py", ".sh", ".S", ".cmake", "CMakeLists.txt")

_INCLUDE = re.compile(r'^\s*#\s*include\s+(?:"([^"]+)"|<([^>]+)>)')
_TARGET = re.compile(
    r"^\s*(pinion_library|pinion_binary|add_library|add_executable)\s*\(",
    re.MULTILINE)


def matches(path, patterns):
    return any(fnmatch.fnmatch(path, p) for p in patterns)


def folder_of(path):
    """The longest folder of MAY_KNOW that holds `path`, or None."""
    parts = path.split("/")[:-1]
    for end in range(len(parts), 0, -1):
        folder = "/".join(parts[:end])
        if folder in MAY_KNOW:
            return folder
    return None


def walk(tree):
    for directory, names, files in os.walk(tree):
        relative = os.path.relpath(directory, tree)
        names[:] = [n for n in names
                    if not n.startswith(".")
                    and not (relative == "." and n == "build")
                    and n != "node_modules" and n != "__pycache__"]
        for name in files:
            yield os.path.normpath(os.path.join(relative, name))


def read(tree, path):
    with open(os.path.join(tree, path), encoding="utf-8",
              errors="replace") as file:
        return file.read()


def includes(text):
    """(line number, header, quoted) of every #include."""
    for number, line in enumerate(text.splitlines(), 1):
        found = _INCLUDE.match(line)
        if found:
            yield number, found.group(1) or found.group(2), bool(found.group(1))


def check_include(path, folder, header, files):
    """The complaint about one #include, or None."""
    grpc = header.startswith(("grpc/", "grpcpp/")) or header.endswith(
        ".grpc.pb.h")
    if grpc:
        if not matches(path, GRPC_FILES):
            return "sees gRPC"
        return None
    if header.endswith(".pb.h"):
        allowed = PROTO_FOLDERS.get(header)
        if allowed is None or folder in allowed:
            return None
        return "is no folder for this protobuf"
    if folder == "runtime/launch" or (
            folder == "runtime/monitor" and not matches(path, MONITOR_CLIENT)):
        if header.startswith("absl/"):
            return "is part of the monitor, which knows no Abseil"
        if header in files and folder_of(header) not in (
                "runtime/launch", "runtime/monitor"):
            return "is part of the monitor, which knows only runtime/launch"
        if matches(header, MONITOR_CLIENT):
            return "is part of the monitor, not of its client"
    if header not in files:
        return None
    if header.startswith("tests/"):
        return "is product code"
    other = folder_of(header)
    if other is None or other == folder or other in MAY_KNOW[folder]:
        return None
    return f"may not know {other}/"


def check_includes(tree, files):
    for path in sorted(files):
        folder = folder_of(path)
        if folder is None or not path.endswith(SOURCE):
            continue
        seen = set()
        for number, header, quoted in includes(read(tree, path)):
            seen.add(header)
            complaint = check_include(path, folder, header, files)
            if complaint:
                yield f"{path}:{number}: includes {header}, but {complaint}"
            generated = header.endswith(".pb.h") or header == "build_info.h"
            if quoted and header not in files and not generated and (
                    not header.startswith("absl/")):
                yield (f"{path}:{number}: includes {header}, which is no path "
                       "from the top of the tree")
        cri = seen & {"cri/api.h", "runtime/v1/api.pb.h"}
        if cri and "state.pb.h" in seen and not matches(path, TRANSLATE):
            yield f"{path}: CRI messages and records meet outside translate"


def strip_comments(text):
    return re.sub(r"#[^\n]*", "", text)


def arguments(text, start):
    """The words between the parenthesis at `start` and its partner."""
    depth = 0
    for end in range(start, len(text)):
        depth += {"(": 1, ")": -1}.get(text[end], 0)
        if depth == 0:
            return text[start + 1:end].split()
    return text[start + 1:].split()


def targets(tree, files):
    """name -> (folder, CMake file, [words]) of every target."""
    found = {}
    for path in sorted(files):
        if os.path.basename(path) != "CMakeLists.txt":
            continue
        text = strip_comments(read(tree, path))
        folder = folder_of(path)
        for call in _TARGET.finditer(text):
            words = arguments(text, call.end() - 1)
            if words and "$" not in words[0]:
                found[words[0]] = (folder, path, words[1:])
        for call in re.finditer(r"^\s*target_link_libraries\s*\(", text,
                                re.MULTILINE):
            words = arguments(text, call.end() - 1)
            if words and words[0] in found:
                found[words[0]][2].extend(words[1:])
    return found


def check_link(name, folder, word, known):
    """The complaint about one word of a link line, or None."""
    if word in PROTO_TARGETS:
        if folder not in PROTO_TARGETS[word]:
            return "is no folder for this protobuf"
        return None
    if word == GRPC_TARGET:
        return None if folder == "tools" else "must not link gRPC itself"
    if folder == "runtime/launch" or name == "pinion_monitor_shared":
        if word.startswith("absl::"):
            return "is part of the monitor, which knows no Abseil"
    if word not in known:
        return None
    other = known[word][0]
    if other is None:
        return None if not known[word][1].startswith("tests/") else (
            "is product code")
    if other == folder or other in MAY_KNOW[folder]:
        return None
    return f"may not know {other}/"


def check_links(tree, files):
    known = targets(tree, files)
    for name, (folder, path, words) in sorted(known.items()):
        if folder is None:
            continue
        for word in words:
            complaint = check_link(name, folder, word, known)
            if complaint:
                yield f"{path}: {name} links {word}, but {complaint}"


def check_sizes(tree, files):
    lengths = []
    for path in sorted(files):
        if not path.endswith(SOURCE + SCRIPT):
            continue
        lines = read(tree, path).count("\n")
        if path.endswith(SOURCE):
            lengths.append(lines)
        if lines > MAX_LINES:
            yield f"{path}: {lines} lines, at most {MAX_LINES}"
    if lengths and statistics.median(lengths) > MEDIAN_LINES:
        yield (f"the median file has {statistics.median(lengths):.0f} lines, "
               f"at most {MEDIAN_LINES}")


def check_readmes(tree, files):
    for folder in sorted(MAY_KNOW):
        if not any(folder_of(p) == folder and p.endswith(SOURCE)
                   for p in files):
            continue
        readme = folder + "/README.md"
        if readme not in files:
            yield f"{folder}: has no README.md"
            continue
        lines = read(tree, readme).count("\n")
        if lines > MAX_README_LINES:
            yield f"{readme}: {lines} lines, at most {MAX_README_LINES}"


def check(tree):
    files = set(walk(tree))
    yield from check_includes(tree, files)
    yield from check_links(tree, files)
    yield from check_sizes(tree, files)
    yield from check_readmes(tree, files)


def main():
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    tree = sys.argv[1]
    files = [p for p in walk(tree) if p.endswith(SOURCE)]
    if not files:
        print(f"{tree}: no source file found", file=sys.stderr)
        return 2
    complaints = list(check(tree))
    for complaint in complaints:
        print(complaint)
    print(f"{len(files)} source files, {len(complaints)} violations")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
