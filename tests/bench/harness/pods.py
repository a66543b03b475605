"""`run pods`: pods of pinion and of containerd with runc and with crun.

Each round drives every runtime in turn, on each network, and the kernel's
floor: A B A B. Times are percentiles over the samples of all rounds; of
bursts, CPU and memory the median of the rounds is quoted.
"""

import collections
import json
import subprocess

from figures import Goal, goals_table, median, number, percentile, table
from host import Problem, bench_binary, say
import runtimes

STEPS = ("RunPodSandbox", "CreateContainer", "StartContainer", "pod up",
         "ExecSync", "StopContainer", "StopPodSandbox", "RemoveContainer",
         "RemovePodSandbox", "pod down")
CALL_SECONDS = 900  # One call of pods_bench; the slowest takes two minutes.


def add_arguments(parser):
    parser.add_argument("--rounds", type=int, help="default 3; quick: 1")
    parser.add_argument("--pods", type=int,
                        help="one after another, per round (20; quick: 10)")
    parser.add_argument("--execs", type=int, help="per round (50; quick: 20)")
    parser.add_argument("--bursts", help="pods at once "
                        "(27,100,270; quick: 27)")
    parser.add_argument("--runtimes", help="comma-separated; default: "
                        "pinion," + ",".join(runtimes.PEERS))
    parser.add_argument("--networks", default="pod,host")


class Results:
    """samples[network][label][what], figures[network][label][what]."""

    def __init__(self):
        def nested():
            return collections.defaultdict(
                lambda: collections.defaultdict(list))
        self.samples = collections.defaultdict(nested)
        self.figures = collections.defaultdict(nested)

    def add(self, network, line):
        record = json.loads(line)
        label, what = record.pop("label"), record.pop("what")
        if "samples" in record:
            self.samples[network][label][what] += record["samples"]
            return
        if what == "burst":
            what = f"{record['pods']:.0f} at once"
        self.figures[network][label][what].append(record)

    def p(self, network, label, what, fraction=0.5):
        values = self.samples[network][label].get(what)
        return percentile(values, fraction) if values else None

    def figure(self, network, label, what, name):
        records = self.figures[network][label].get(what)
        return median([r[name] for r in records]) if records else None

    def to_json(self):
        return {"samples": self.samples, "figures": self.figures}


class PodsBenchmark:
    def __init__(self, host, options):
        self.host = host
        quick = options.quick
        self.rounds = options.rounds or (1 if quick else 3)
        self.pods = options.pods or (10 if quick else 20)
        self.execs = options.execs or (20 if quick else 50)
        bursts = options.bursts or ("27" if quick else "27,100,270")
        self.bursts = [int(b) for b in bursts.split(",")]
        self.networks = options.networks.split(",")
        self.labels = (options.runtimes or
                       ",".join(["pinion", *runtimes.PEERS])).split(",")
        self.results = Results()
        self.runtimes = []
        self.others_busy = []
        self.idle_rss_kib = {}

    def set_up(self):
        self.host.set_up()
        self.runtimes = runtimes.start_all(self.host, self.labels,
                                           bench_binary("cri_pull_bench"))
        self.floor_tree = self.host.make_tree("floor")
        (self.host.scratch / "floor/rootfs/proc").mkdir(parents=True)
        self.host.settle()
        for runtime in self.runtimes:
            self.idle_rss_kib[runtime.label] = runtime.resident_kib()

    def measure(self, network, words, log_tail=lambda: ""):
        self.others_busy.append(self.host.settle())
        try:
            done = subprocess.run(words, capture_output=True, text=True,
                                  check=False, timeout=CALL_SECONDS)
        except subprocess.TimeoutExpired as error:
            raise Problem(f"{error}\n{log_tail()}") from error
        if done.returncode != 0:
            raise Problem(f"{done.stderr.strip()}\nits log ends:\n"
                          + log_tail())
        for line in done.stdout.splitlines():
            self.results.add(network, line)

    def measure_floor(self, network):
        words = [bench_binary("floor"), "--scratch",
                 str(self.host.scratch / "floor"), "--rounds",
                 str(5 * self.pods), "--tree", self.floor_tree]
        if network == "pod":
            words += ["--parent", "parent"]
        # In its tree, as a daemon is.
        self.measure(network, [
            "sh", "-euc", f"echo $$ >{self.host.tree_procs(self.floor_tree)}\n"
            'exec "$@"', "sh", *words])

    def bursts_of(self, network, round_number):
        """270 with the host's network only once: it takes minutes."""
        if network == "host" and round_number > 0:
            return [b for b in self.bursts if b <= 100]
        return self.bursts

    def measure_all(self):
        for round_number in range(self.rounds):
            for network in self.networks:
                say(f"round {round_number + 1} of {self.rounds}, "
                    f"{network} network: floor")
                self.measure_floor(network)
                bursts = self.bursts_of(network, round_number)
                for runtime in self.runtimes:
                    say(f"round {round_number + 1} of {self.rounds}, "
                        f"{network} network: {runtime.label}")
                    common = [bench_binary("pods_bench"),
                              *runtime.pod_flags(), "--network", network,
                              "--image", runtimes.BUSYBOX, "--log-root",
                              str(self.host.scratch / "logs")]
                    self.measure(network, [
                        *common, "--pods", str(self.pods),
                        "--execs", str(self.execs)], runtime.log_tail)
                    for burst in bursts:
                        self.measure(network, [
                            *common, "--pods", "0", "--execs", "0",
                            "--bursts", str(burst)], runtime.log_tail)

    # The tables.

    def times_table(self, network):
        labels = ["floor", *self.labels]
        rows = []
        for step in STEPS:
            cells = []
            for label in labels:
                values = [self.results.p(network, label, step, fraction)
                          for fraction in (0.5, 0.9, 0.99)]
                cells.append("" if values[0] is None
                             else " / ".join(map(number, values)))
            rows.append([step, *cells])
        for text, what, name in (
                ("CPU per pod up, machine", "cpu one by one",
                 "up_machine_ms"),
                ("CPU per pod up and down, machine", "cpu one by one",
                 "whole_machine_ms"),
                ("— of it its own processes", "cpu one by one",
                 "whole_tree_ms"),
                ("CPU per exec, machine", "cpu exec", "machine_ms")):
            cells = []
            for label in labels:
                records = self.results.figures[network][label].get(what, [])
                values = [r[name] for r in records if name in r]
                cells.append(number(median(values)) if values else "")
            rows.append([text, *cells])
        return table(["ms: p50 / p90 / p99", *labels], rows)

    def bursts_table(self, network):
        rows = []
        for burst in self.bursts:
            what = f"{burst} at once"
            for text, name, scale in (
                    ("up, s", "up_ms", 1e3), ("down, s", "down_ms", 1e3),
                    ("CPU per pod up, ms (machine)", "up_machine_ms", 1),
                    ("— of it its own processes", "up_tree_ms", 1),
                    ("PSS per pod, KiB", "pss_kib_per_pod", 1),
                    ("processes per pod", "processes_per_pod", 1),
                    ("daemon's RSS, MiB", "daemon_rss_kib", 1024)):
                values = [self.results.figure(network, label, what, name)
                          for label in self.labels]
                rows.append([f"{what}: {text}",
                             *["" if v is None else number(v / scale)
                               for v in values]])
        return table(["pods at once", *self.labels], rows)

    def goals(self):
        if "pinion" not in self.labels:
            return []
        return [*self.time_goals(), *self.burst_goals(),
                *self.memory_goals()]

    def time_goals(self):
        network = self.networks[0]
        peer = "containerd+crun"
        goals = []

        def against(other, step, limit, text):
            ours = self.results.p(network, "pinion", step)
            theirs = self.results.p(network, other, step)
            if ours and theirs:
                goals.append(Goal(f"{text} p50 against {other}",
                                  ours / theirs, limit))

        against(peer, "pod up", 1 / 15, "pod up (3 RPCs)")
        against("floor", "pod up", 3, "pod up (3 RPCs)")
        against(peer, "ExecSync", 1 / 6, "ExecSync(true)")
        for name, text in (("whole_machine_ms", "the machine's CPU"),
                           ("whole_tree_ms", "its own processes' CPU")):
            ours, theirs = (
                self.results.figure(network, label, "cpu one by one", name)
                for label in ("pinion", peer))
            if ours and theirs:
                goals.append(Goal(f"{text} per pod up and down against {peer}",
                                  ours / theirs, 1 / 10))
        return goals

    def burst_goals(self):
        network = self.networks[0]
        peer = "containerd+crun"
        goals = []
        for burst in self.bursts:
            for name, text in (("up_ms", "wall time"),
                               ("up_machine_ms", "CPU per pod")):
                ours, theirs = (
                    self.results.figure(network, label, f"{burst} at once",
                                        name) for label in ("pinion", peer))
                if ours and theirs:
                    goals.append(Goal(f"{burst} at once, {text} against "
                                      f"{peer}", ours / theirs, 1 / 10))
        few, many = (self.results.figure(network, "pinion",
                                         f"{burst} at once", "up_machine_ms")
                     for burst in (27, 270))
        if few and many:
            goals.append(Goal("CPU per pod at 270 against that at 27",
                              many / few, 1.3))
        return goals

    def memory_goals(self):
        network = self.networks[0]
        def mib(value):
            return f"{value:.2f} MiB"
        most = f"{max(self.bursts)} at once"
        goals = []
        pss = self.results.figure(network, "pinion", most, "pss_kib_per_pod")
        if pss:
            goals.append(Goal(f"PSS per pod beyond its container, {most}",
                              pss / 1024, 0.5, mib))
        idle = self.idle_rss_kib.get("pinion")
        if idle:
            goals.append(Goal("daemon's RSS idle", idle / 1024, 30, mib))
        rss = self.results.figure(network, "pinion", most, "daemon_rss_kib")
        if rss:
            goals.append(Goal(f"daemon's RSS, {most}", rss / 1024, 60, mib))
        return goals

    def report(self):
        parts = []
        for network in self.networks:
            parts += [f"One after another, {network} network", "",
                      self.times_table(network), "",
                      f"At once, {network} network", "",
                      self.bursts_table(network), ""]
        for runtime in self.runtimes:
            parts.append(f"{runtime.label}: {runtime.version}, RSS idle "
                         f"{self.idle_rss_kib[runtime.label] / 1024:.1f} MiB")
        busy = percentile(self.others_busy, 0.9)
        if busy > 0.1:
            parts.append(f"Not a quiet machine: others took up to {busy:.1f} "
                         "CPUs; trust ratios only.")
        goals = self.goals()
        if goals:
            parts += ["", goals_table(goals)]
        return "\n".join(parts)

    def to_json(self):
        return {"results": self.results.to_json(),
                "goals": [goal.to_json() for goal in self.goals()],
                "idle_rss_kib": self.idle_rss_kib,
                "others_busy": self.others_busy,
                "versions": {r.label: r.version for r in self.runtimes}}


def main(host, options):
    benchmark = PodsBenchmark(host, options)
    benchmark.set_up()
    benchmark.measure_all()
    return benchmark
