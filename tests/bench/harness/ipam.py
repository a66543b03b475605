"""`run ipam`: claims and releases of the address pool, and their percentiles,
beside the ADDs of CNI's host-local plugin in the same run."""

import json
import pathlib

from figures import Goal, goals_table, table
from host import AUTOGROUP, Problem, bench_binary, run, say

HOST_LOCAL = "/usr/lib/cni/host-local"

PAIRS_GOAL = 1e6  # A second, on 2 threads.
P99_ALONE_NS = 1_000
P99_EIGHT_NS = 10_000
TIMES_HOST_LOCAL = 10_000


def add_arguments(parser):
    parser.add_argument("--host-local", metavar="FILE", default=HOST_LOCAL,
                        help=f"the plugin (default: {HOST_LOCAL})")


def million(value):
    return f"{value / 1e6:.2f} million"


def nanoseconds(value):
    return f"{value:,.0f} ns"


def times(value):
    return f"{value:,.0f} x"


class IpamBenchmark:
    def __init__(self, _host, options):
        # 15 measurements of this length, and four times it for the plugin.
        self.seconds = 0.1 if options.quick else 1.0
        self.plugin = options.host_local
        self.pools = []
        self.adds_per_second = None

    def measure_all(self):
        if not pathlib.Path(self.plugin).exists():
            raise Problem(f"{self.plugin} is missing: install Debian's "
                          "containernetworking-plugins")
        if AUTOGROUP.exists():
            AUTOGROUP.write_text("-20")
        say("ipam_bench")
        found = json.loads(run(bench_binary("ipam_bench"), str(self.seconds),
                               self.plugin, timeout=300))
        self.pools = found["pools"]
        self.adds_per_second = found["host_local_adds_per_second"]

    def worst(self, key, threads, pick=max):
        return pick(p[key] for p in self.pools if p["threads"] == threads)

    def goals(self):
        slowest = self.worst("pairs_per_second", 1, min)
        return [
            Goal("claims and releases a second, 2 threads, worst pool",
                 self.worst("pairs_per_second", 2, min), PAIRS_GOAL, million,
                 at_least=True),
            Goal("claim p99 alone, worst pool", self.worst("claim_p99_ns", 1),
                 P99_ALONE_NS, nanoseconds),
            Goal("claim p99 with 8 threads, worst pool",
                 self.worst("claim_p99_ns", 8), P99_EIGHT_NS, nanoseconds),
            Goal("1 thread, worst pool, against host-local's ADDs",
                 slowest / self.adds_per_second, TIMES_HOST_LOCAL, times,
                 at_least=True)]

    def report(self):
        rows = [[p["pool"], p["threads"],
                 f"{p['pairs_per_second'] / 1e6:.2f}", p["claim_p50_ns"],
                 p["claim_p99_ns"], p["claim_p999_ns"]] for p in self.pools]
        return "\n".join([
            table(["pool", "threads", "million pairs/s", "claim p50, ns",
                   "p99", "p99.9"], rows),
            "", f"host-local: {self.adds_per_second:.0f} ADDs a second", "",
            goals_table(self.goals())])

    def to_json(self):
        return {"pools": self.pools,
                "host_local_adds_per_second": self.adds_per_second,
                "goals": [goal.to_json() for goal in self.goals()]}


def main(host, options):
    benchmark = IpamBenchmark(host, options)
    benchmark.measure_all()
    return benchmark
