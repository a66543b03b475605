"""`run ipam`: claims and releases a second of the address pool."""

import json

from figures import Goal, goals_table, table
from host import bench_binary, run, say

GOAL = 1e6  # A second, on 2 threads.


def add_arguments(_parser):
    pass


class IpamBenchmark:
    def __init__(self, _host, options):
        self.repetitions = 1 if options.quick else 3
        self.min_seconds = 0.1 if options.quick else 0.5
        self.benchmarks = []

    def measure_all(self):
        say("ipam_bench")
        flags = ["--benchmark_format=json",
                 f"--benchmark_min_time={self.min_seconds}",
                 f"--benchmark_repetitions={self.repetitions}"]
        if self.repetitions > 1:
            flags.append("--benchmark_report_aggregates_only=true")
        found = json.loads(run(bench_binary("ipam_bench"), *flags))
        self.benchmarks = [
            b for b in found["benchmarks"]
            if b.get("aggregate_name", "median") == "median"]

    def goals(self):
        return [Goal(f"{b['run_name']}, a second", b["items_per_second"],
                     GOAL, lambda v: f"{v / 1e6:.2f} million", at_least=True)
                for b in self.benchmarks if b["threads"] == 2]

    def report(self):
        rows = [[b["run_name"], b["threads"],
                 f"{b['items_per_second'] / 1e6:.2f}"]
                for b in self.benchmarks]
        return "\n".join([
            table(["claim and release", "threads", "million a second"], rows),
            "", goals_table(self.goals())])

    def to_json(self):
        return {"benchmarks": self.benchmarks,
                "goals": [goal.to_json() for goal in self.goals()]}


def main(host, options):
    benchmark = IpamBenchmark(host, options)
    benchmark.measure_all()
    return benchmark
