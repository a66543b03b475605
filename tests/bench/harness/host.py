"""The test host a benchmark runs in: tracked processes, cgroups, a network.

Everything here assumes the namespaces that tests/bench/run made: network,
mount and PID namespaces of its own. Nothing is cleaned up here; it ends with
them.
"""

import os
import pathlib
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
TREE = HERE.parent.parent.parent
CGROUPS = pathlib.Path("/sys/fs/cgroup")


class Problem(Exception):
    """What ends a benchmark, in one line."""


def say(text):
    print(f"== {text}", file=sys.stderr, flush=True)


def binaries():
    return pathlib.Path(os.environ.get("PINION_BIN") or TREE / "build/bin")


def bench_binary(name):
    build = pathlib.Path(os.environ.get("PINION_BUILD") or TREE / "build/dev")
    path = build.absolute() / "bench" / name
    if not path.exists():
        raise Problem(f"{path} is missing: build first (./dev build)")
    return str(path)


def run(*words, **options):
    """A command that must succeed; its standard output."""
    done = subprocess.run(words, check=False, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          **options)
    if done.returncode != 0:
        raise Problem(f"{' '.join(map(str, words))}: exit code "
                      f"{done.returncode}: {done.stderr.strip()[-2000:]}")
    return done.stdout


# Until a new session: sched(7), the autogroup feature.
AUTOGROUP = pathlib.Path("/proc/self/autogroup")
GO_FIRST = f"if [ -e {AUTOGROUP} ]; then echo -20 >{AUTOGROUP}; fi"


class Host:
    """The scratch directory, the network and the cgroups of one run."""

    def __init__(self, scratch):
        self.scratch = pathlib.Path(scratch)
        self.group = "/" + self.scratch.name  # tests/bench/run removes it.
        self.cpuacct = CGROUPS / "cpuacct"
        self.registry_address = None

    def set_up(self):
        if AUTOGROUP.exists():
            AUTOGROUP.write_text("-20")
        # /run and /var/lib hold what the runtimes and CNI keep outside the
        # directories one can name; here they are this run's own.
        run("mount", "-t", "tmpfs", "tmpfs", "/run")
        run("mount", "-t", "tmpfs", "tmpfs", "/var/lib")
        run("ip", "link", "set", "lo", "up")
        # The parent of everyone's macvlans: one end of a veth pair.
        run("ip", "link", "add", "parent", "type", "veth",
            "peer", "name", "wire")
        for device in ("parent", "wire"):
            run("ip", "link", "set", device, "up")

    def start_registry(self, *groups):
        """The conformance kit's registry; its mirror rules' directory."""
        say("registry")
        place = self.scratch / "registry"
        words = [TREE / "tests/conformance/registry", "start", place, "0"]
        for group in groups:
            words += ["--group", group]
        self.registry_address = run(*words).strip()
        return place / "hosts"

    def make_tree(self, name):
        """A cgroup for a runtime and all that is below it; its path."""
        tree = f"{self.group}/{name}"
        hierarchies = ([self.cpuacct] if self.cpuacct.exists()
                       else [CGROUPS])
        if (CGROUPS / "unified/cgroup.procs").exists():
            hierarchies.append(CGROUPS / "unified")
        for hierarchy in hierarchies:
            (hierarchy / tree[1:] / "pods").mkdir(parents=True)
        return tree

    def tree_procs(self, tree):
        """The file that moves a process into a tree."""
        if self.cpuacct.exists():
            return self.cpuacct / tree[1:] / "cgroup.procs"
        leaf = CGROUPS / tree[1:] / "daemon"  # v2: no processes above leaves.
        leaf.mkdir(exist_ok=True)
        return leaf / "cgroup.procs"

    def start_in_tree(self, tree, script, log, *words):
        """A shell script, with words as $@, in a mount namespace and a tree.

        Its process becomes what the script executes.
        """
        with open(log, "ab") as out:
            return subprocess.Popen(
                ["unshare", "--mount", "sh", "-euc",
                 f"echo $$ >{self.tree_procs(tree)}\n{GO_FIRST}\n{script}", "sh",
                 *map(str, words)],
                stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                start_new_session=True)

    def machine_cpu(self):
        """Seconds of CPU of the whole machine."""
        usage = self.cpuacct / "cpuacct.usage"
        if usage.exists():
            return int(usage.read_text()) * 1e-9
        fields = pathlib.Path("/proc/stat").read_text().split()[1:9]
        return sum(int(f) for i, f in enumerate(fields)
                   if i not in (3, 4)) / os.sysconf("SC_CLK_TCK")

    def settle(self, seconds=4.0):
        """Waits, bounded, until the machine is idle; how busy it stayed.

        What a runtime does behind the last call's back (the kernel's clean-up
        above all) must not count as the next one's.
        """
        deadline = time.monotonic() + seconds
        while True:
            cpu, start = self.machine_cpu(), time.monotonic()
            time.sleep(0.3)
            busy = (self.machine_cpu() - cpu) / (time.monotonic() - start)
            if busy < 0.1 or time.monotonic() > deadline:
                return busy
