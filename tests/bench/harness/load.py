"""`run load`: the calls a kubelet makes all the time, idle and under load.

Status, Version and the lists with 270 containers in 270 pods and 270 pods
more; first idle, then while 270 RunPodSandbox and 270 StopContainer with a
30 s grace are under way (tests/bench/load_bench.cc). The runtimes in turn.
"""

import collections
import json
import subprocess

from figures import Goal, goals_table, number, percentile, table
from host import Problem, bench_binary, say
import runtimes

CALLS = ("Version", "Status", "ListPodSandbox", "ListContainers",
         "ListPodSandboxStats", "ListContainerStats")
CALL_SECONDS = 900


def add_arguments(parser):
    parser.add_argument("--rounds", type=int, help="default 2; quick: 1")
    parser.add_argument("--pods", type=int,
                        help="of each kind (270; quick: 100)")
    parser.add_argument("--runtimes", default="pinion,containerd+crun")


class LoadBenchmark:
    def __init__(self, host, options):
        self.host = host
        self.rounds = options.rounds or (1 if options.quick else 2)
        self.pods = options.pods or (100 if options.quick else 270)
        self.labels = options.runtimes.split(",")
        self.runtimes = []
        self.samples = collections.defaultdict(
            lambda: collections.defaultdict(list))
        self.loads = collections.defaultdict(list)
        self.others_busy = []

    def set_up(self):
        self.host.set_up()
        self.runtimes = runtimes.start_all(self.host, self.labels,
                                           bench_binary("cri_pull_bench"))

    def measure(self, runtime):
        self.others_busy.append(self.host.settle())
        words = [bench_binary("load_bench"), *runtime.pod_flags(),
                 "--image", runtimes.BUSYBOX, "--pods", str(self.pods),
                 "--log-root", str(self.host.scratch / "logs")]
        done = subprocess.run(words, capture_output=True, text=True,
                              check=False, timeout=CALL_SECONDS)
        if done.returncode != 0:
            raise Problem(f"{done.stderr.strip()}\n{runtime.log_tail()}")
        for line in done.stdout.splitlines():
            record = json.loads(line)
            what = record.pop("what")
            if "samples" in record:
                self.samples[runtime.label][what] += record["samples"]
            else:
                self.loads[runtime.label].append(record)

    def measure_all(self):
        for round_number in range(self.rounds):
            for runtime in self.runtimes:
                say(f"round {round_number + 1} of {self.rounds}: "
                    f"{runtime.label}")
                self.measure(runtime)

    def p(self, label, call, when, fraction):
        return percentile(self.samples[label][f"{call} {when}"], fraction)

    def table(self):
        head, rows = ["ms, p50 / p99"], [[call] for call in CALLS]
        for label in self.labels:
            for when in ("idle", "load"):
                head.append(f"{label}, {when}")
                for row, call in zip(rows, CALLS):
                    row.append(" / ".join(
                        number(self.p(label, call, when, fraction))
                        for fraction in (0.5, 0.99)))
        return table(head, rows)

    def goals(self):
        if "pinion" not in self.labels:
            return []
        def shown(ms):
            return f"{number(ms)} ms"

        goals = []
        for call in CALLS:
            idle, load = (self.p("pinion", call, when, 0.5)
                          for when in ("idle", "load"))
            # As quick as before: half a millisecond more is a thread or two
            # ahead in the queue for a CPU.
            goals.append(Goal(f"{call} p50 under load", load,
                              max(2 * idle, idle + 0.5), shown))
        return goals

    def report(self):
        parts = [f"{self.pods} RunPodSandbox and {self.pods} StopContainer "
                 "(30 s) at once", "", self.table(), ""]
        for label in self.labels:
            for load in self.loads[label]:
                parts.append(
                    f"{label}: {load['bursts']:.0f} bursts, the first in "
                    f"{load['first_burst_ms'] / 1e3:.1f} s; the stops in "
                    f"{load['stops_ms'] / 1e3:.1f} s; "
                    f"{len(self.samples[label]['Status load'])} calls each "
                    "under load")
        parts += [f"{r.label}: {r.version}" for r in self.runtimes]
        busy = percentile(self.others_busy, 0.9)
        if busy > 0.1:
            parts.append(f"Not a quiet machine: others took up to {busy:.1f} "
                         "CPUs.")
        if self.goals():
            parts += ["", goals_table(self.goals())]
        return "\n".join(parts)

    def to_json(self):
        return {"samples": self.samples, "loads": self.loads,
                "goals": [goal.to_json() for goal in self.goals()],
                "others_busy": self.others_busy}


def main(host, options):
    benchmark = LoadBenchmark(host, options)
    benchmark.set_up()
    benchmark.measure_all()
    return benchmark
