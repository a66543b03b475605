"""`run pull`: 8 layers, 254 MB of gzip, from a registry on loopback.

pinion's and containerd's PullImage in turn. One unmeasured pull each goes
first, so that the registry's blobs are in the page cache for everyone.
"""

import json
import subprocess

from figures import Goal, goals_table, median, number, table
from host import Problem, bench_binary, run, say, TREE
import runtimes

PULL_SECONDS = 300


def add_arguments(parser):
    parser.add_argument("--rounds", type=int, help="default 5; quick: 1")
    parser.add_argument("--runtimes", default="pinion,containerd+crun")


class PullBenchmark:
    def __init__(self, host, options):
        self.host = host
        self.rounds = options.rounds or (1 if options.quick else 5)
        self.labels = options.runtimes.split(",")
        self.runtimes = []
        self.pulls = {label: [] for label in self.labels}

    def set_up(self):
        self.host.set_up()
        hosts = self.host.start_registry("big")
        self.image = run(TREE / "tests/conformance/registry", "images",
                         "--group", "big").split()[0]
        for label in self.labels:
            self.runtimes.append(
                runtimes.start_pinion(self.host, hosts) if label == "pinion"
                else runtimes.start_containerd(
                    self.host, hosts, label.split("+")[1], "10.129.0.0/17"))

    def pull(self, runtime):
        self.host.settle()
        done = subprocess.run(
            [bench_binary("cri_pull_bench"), *runtime.client_flags(),
             "--image", self.image, "--pulls", "1"],
            capture_output=True, text=True, check=False,
            timeout=PULL_SECONDS)
        if done.returncode != 0:
            raise Problem(f"{runtime.label}: {done.stderr.strip()}\n"
                          + runtime.log_tail())
        return json.loads(done.stdout)

    def measure_all(self):
        for runtime in self.runtimes:
            say(f"{runtime.label}: warm-up")
            self.pull(runtime)
        for number_ in range(self.rounds):
            for runtime in self.runtimes:
                say(f"round {number_ + 1} of {self.rounds}: {runtime.label}")
                self.pulls[runtime.label].append(self.pull(runtime))

    def figure(self, label, name):
        return median([pull[name] for pull in self.pulls[label]])

    def goals(self):
        peers = [label for label in self.labels if label != "pinion"]
        if "pinion" not in self.labels or not peers:
            return []
        return [Goal(f"pull, {text} against {peers[0]}",
                     self.figure("pinion", name) /
                     self.figure(peers[0], name), 1 / 2)
                for name, text in (("ms", "wall time"),
                                   ("tree_ms", "CPU of the runtime"),
                                   ("machine_ms", "CPU of the machine"))]

    def report(self):
        rows = [[text, *[number(self.figure(label, name) / scale)
                         for label in self.labels]]
                for text, name, scale in (
                    ("wall time, s", "ms", 1e3),
                    ("CPU of the runtime, s", "tree_ms", 1e3),
                    ("CPU of the machine with the registry, s",
                     "machine_ms", 1e3),
                    ("daemon's RSS after it, MiB", "daemon_rss_kib", 1024))]
        parts = [table([f"pull {self.image}", *self.labels], rows), ""]
        parts += [f"{r.label}: {r.version}" for r in self.runtimes]
        if self.goals():
            parts += ["", goals_table(self.goals())]
        return "\n".join(parts)

    def to_json(self):
        return {"pulls": self.pulls,
                "goals": [goal.to_json() for goal in self.goals()]}


def main(host, options):
    benchmark = PullBenchmark(host, options)
    benchmark.set_up()
    benchmark.measure_all()
    return benchmark
