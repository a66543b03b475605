#!/usr/bin/env python3
"""Looks many times on which CPUs threads run, and whether they may.

  watch_cpus.py --samples N [--outside CPUS WHAT…]… [--inside CPUS WHAT…]…

WHAT is a directory of cgroups (every thread of it and below, again at each
look, so that execs are seen) or a process's number. Threads of --outside must
never be seen on CPUS nor be allowed there; those of --inside nowhere else.

A thread that sleeps is still where it last ran (field 39 of stat, proc(5)):
one that is there at the first look counts when it runs, or has run since.

Prints how much was seen, then each violation once. Exit code 1 if there were
any, or nothing to see.
"""

import argparse
import os
import pathlib
import re
import sys


def cpus_of(text):
    cpus = set()
    for part in filter(None, text.strip().split(",")):
        first, _, last = part.partition("-")
        cpus |= set(range(int(first), int(last or first) + 1))
    return cpus


def read(path):
    try:
        return path.read_text()
    except OSError:  # it is gone
        return ""


def threads(what):
    """Directories of threads below /proc."""
    if what.isdigit():
        pids = [what]
    else:
        pids = [pid for group, _, _ in os.walk(what) for pid in
                read(pathlib.Path(group, "cgroup.procs")).split()]
    for pid in pids:
        try:
            yield from pathlib.Path("/proc", pid, "task").iterdir()
        except OSError:
            continue


def switches(status):
    return sum(map(int, re.findall(r"ctxt_switches:\s+(\d+)", status)))


class Watch:
    # How many looks apart a thread's affinity is read again.
    EVERY = 50

    def __init__(self, cpus, inside):
        self.cpus = cpus
        self.inside = inside
        self.looks = 0
        self.first = {}  # switches of the threads of the first look
        self.seen = {}  # CPU: how often something ran there
        self.threads = set()
        self.violations = set()

    def wrong(self, cpus):
        return cpus - self.cpus if self.inside else cpus & self.cpus

    def check_allowed(self, task, name):
        """Also notes how often it was switched, at the first look."""
        status = read(task / "status")
        found = re.search(r"Cpus_allowed_list:\s+(\S+)", status)
        if not found:
            return
        if self.looks == 0:
            self.first[task] = switches(status)
        if self.wrong(cpus_of(found[1])):
            self.violations.add(f"{name} may run on {found[1]}")

    def has_run(self, task):
        """Since the first look, or it was not there then."""
        return self.first.get(task) != switches(read(task / "status"))

    def look(self, what):
        for task in (task for one in what for task in threads(one)):
            stat = read(task / "stat")
            if not stat:
                continue
            name, fields = stat.rsplit(")", 1)
            name += ")"
            fields = fields.split()
            state, cpu = fields[0], int(fields[36])
            if state in "ZX":
                continue
            if task not in self.threads or self.looks % self.EVERY == 0:
                self.threads.add(task)
                self.check_allowed(task, name)
            if state == "R":
                self.seen[cpu] = self.seen.get(cpu, 0) + 1
            if self.wrong({cpu}) and (state == "R" or self.has_run(task)):
                self.violations.add(f"{name} was seen on CPU {cpu}")
        self.looks += 1


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--outside", nargs="+", action="append", default=[])
    parser.add_argument("--inside", nargs="+", action="append", default=[])
    options = parser.parse_args()
    watches = [(Watch(cpus_of(group[0]), inside), group[1:])
               for groups, inside in ((options.outside, False),
                                      (options.inside, True))
               for group in groups]
    for _ in range(options.samples):
        for watch, what in watches:
            watch.look(what)
    failed = False
    for watch, _ in watches:
        where = "inside" if watch.inside else "outside"
        seen = " ".join(f"{cpu}:{count}" for cpu, count in
                        sorted(watch.seen.items()))
        print(f"{where} {sorted(watch.cpus)}: {options.samples} looks, "
              f"{len(watch.threads)} threads, seen running on (CPU:times) {seen or 'none'}")
        for violation in sorted(watch.violations):
            print(f"VIOLATION: {violation}")
        failed = failed or bool(watch.violations) or not watch.seen
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
