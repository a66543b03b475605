#!/usr/bin/env python3
"""Compares a container's metrics with the files of its cgroup.

usage: metric_files.py CONTAINER CGROUP_DIR CRICTL_ARG...

The files are read before and after `crictl … metricsp`; a value between the
two is right. Prints each metric that is not, and each of the 56 that is
missing although its file is there; nothing if all is well.
"""

import json
import os
import subprocess
import sys

MAX = "max"


def read(directory, name):
    try:
        with open(os.path.join(directory, name)) as file:
            return file.read()
    except OSError:
        return None


def count(text, unlimited=None):
    if text is None:
        return None
    return unlimited if text.strip() == MAX else int(text)


def keyed(text):
    if text is None:
        return {}
    return {line.split()[0]: int(line.split()[1]) for line in text.splitlines()}


def pressure(text):
    totals = {}
    for line in (text or "").splitlines():
        words = line.split()
        totals[words[0]] = int(words[-1].split("=")[1])
    return totals


def io(text):
    """{(major, minor): {counter: value}}"""
    devices = {}
    for line in (text or "").splitlines():
        number, *words = line.split()
        if words:
            devices[tuple(number.split(":"))] = {
                key: int(value) for key, value in
                (word.split("=") for word in words)}
    return devices


def tree_pids(directory):
    pids = []
    for path, _, _ in os.walk(directory):
        pids += (read(path, "cgroup.procs") or "").split()
    return pids


def descriptors(pids):
    total = sockets = 0
    for pid in pids:
        try:
            for fd in os.listdir(f"/proc/{pid}/fd"):
                total += 1
                target = os.readlink(f"/proc/{pid}/fd/{fd}")
                sockets += target.startswith("socket:")
        except OSError:
            pass
    return total, sockets


def snapshot(directory):
    """What the metrics should say: {(name, own labels…): value}"""
    want = {}
    cpu = keyed(read(directory, "cpu.stat"))
    second = 1_000_000
    for name, key in (("usage", "usage_usec"), ("user", "user_usec"),
                      ("system", "system_usec")):
        label = ("total",) if name == "usage" else ()
        want[(f"cpu_{name}_seconds_total", *label)] = cpu[key] // second
    want["cpu_cfs_periods_total",] = cpu.get("nr_periods")
    want["cpu_cfs_throttled_periods_total",] = cpu.get("nr_throttled")
    throttled = cpu.get("throttled_usec")
    want["cpu_cfs_throttled_seconds_total",] = (
        None if throttled is None else throttled // second)
    memory = keyed(read(directory, "memory.stat"))
    for name, key in (("cache", "file"), ("rss", "anon"),
                      ("kernel_usage", "kernel"),
                      ("mapped_file", "file_mapped")):
        want[f"memory_{name}",] = memory.get(key)
    for key in ("pgfault", "pgmajfault"):
        for scope in ("container", "hierarchy"):
            want["memory_failures_total", key, scope] = memory.get(key)
    current = count(read(directory, "memory.current"))
    want["memory_usage_bytes",] = current
    if current is not None:
        want["memory_working_set_bytes",] = max(
            0, current - memory["inactive_file"])
    want["memory_max_usage_bytes",] = count(read(directory, "memory.peak"))
    want["memory_swap",] = count(read(directory, "memory.swap.current"))
    events = keyed(read(directory, "memory.events"))
    want["memory_failcnt",] = events.get("max")
    want["oom_events_total",] = events.get("oom_kill")
    for resource in ("cpu", "memory", "io"):
        totals = pressure(read(directory, f"{resource}.pressure"))
        for name, kind in (("waiting", "some"), ("stalled", "full")):
            total = totals.get(kind)
            want[f"pressure_{resource}_{name}_seconds_total",] = (
                None if total is None else total // second)
    for (major, minor), counters in io(read(directory, "io.stat")).items():
        link = os.readlink(f"/sys/dev/block/{major}:{minor}")
        device = "/dev/" + os.path.basename(link).replace("!", "/")
        for name, key in (("reads", "rios"), ("reads_bytes", "rbytes"),
                          ("writes", "wios"), ("writes_bytes", "wbytes")):
            want[f"fs_{name}_total", device] = counters[key]
        for name, key in (("Read", "rbytes"), ("Write", "wbytes"),
                          ("Discard", "dbytes")):
            want["blkio_device_usage_total", device, major, minor, name] = (
                counters[key])
    for name in os.listdir(directory):
        words = name.split(".")
        if words[0] == "hugetlb" and words[2:] == ["current"]:
            pages = count(read(directory, name))
            want["hugetlb_usage_bytes", words[1]] = pages
            want["hugetlb_max_usage_bytes", words[1]] = pages
    want["threads",] = count(read(directory, "pids.current"))
    want["threads_max",] = count(read(directory, "pids.max"), 0)
    pids = tree_pids(directory)
    want["processes",] = len(pids)
    want["file_descriptors",], want["sockets",] = descriptors(pids)
    limits = read(f"/proc/{pids[0]}", "limits").splitlines()
    limit = next(line for line in limits if line.startswith("Max open files"))
    want["ulimits_soft", "max_open_files"] = int(limit.split()[3])
    quota, period = (read(directory, "cpu.max") or "max 0").split()
    want["spec_cpu_period",] = int(period) or None
    want["spec_cpu_quota",] = None if quota == MAX else int(quota)
    weight = count(read(directory, "cpu.weight"))
    want["spec_cpu_shares",] = (
        None if weight is None else 2 + (weight - 1) * 262142 // 9999)
    for name, file in (("limit", "memory.max"),
                       ("swap_limit", "memory.swap.max"),
                       ("reservation_limit", "memory.low")):
        want[f"spec_memory_{name}_bytes",] = count(read(directory, file), 0)
    return {key: value for key, value in want.items() if value is not None}


def main():
    container, directory, *crictl = sys.argv[1:]
    before = snapshot(directory)
    answer = json.loads(subprocess.check_output([*crictl, "metricsp"]))
    after = snapshot(directory)
    metrics = next(
        one["metrics"] for pod in answer["podMetrics"]
        for one in pod.get("containerMetrics", [])
        if one["containerId"] == container)
    # Of every metric the first six labels are common to all.
    have = {(metric["name"].removeprefix("container_"),
             *metric["labelValues"][6:]): int(metric["value"].get("value", 0))
            for metric in metrics}
    for key in sorted(before.keys() & after.keys()):
        low, high = sorted((before[key], after[key]))
        if key not in have:
            print(f"{' '.join(key)} is missing; the file says {low}")
        elif not low <= have[key] <= high:
            print(f"{' '.join(key)} is {have[key]}, "
                  f"the file says {low} … {high}")
    for name in ("fs_usage_bytes", "fs_limit_bytes", "fs_inodes_total",
                 "fs_inodes_free", "start_time_seconds", "last_seen"):
        if not any(key[0] == name for key in have):
            print(f"{name} is missing")


main()
