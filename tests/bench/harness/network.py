"""`run network`: pods' data path, and the network's part of RunPodSandbox.

Two nodes and a client on a switch, all of them network namespaces. On each
node pods of pinion (macvlan on the NIC; its own bridge) and pods of CNI's
bridge, host-local and portmap plugins beside iptables rules as kube-proxy
makes them. Pod to pod
on one node and on two, through a ClusterIP, through a host port from outside:
round trips over TCP and UDP, one TCP stream, small packets; and between the
nodes themselves. The networks in turn, round after round.

Then RunPodSandbox with and without runtime.warm_pods, with one family and
with both: what the daemon's own phases say of the network.
"""

import collections
import json
import subprocess

from figures import Goal, goals_table, median, number, percentile, table
from host import AUTOGROUP, GO_FIRST, Problem, bench_binary, run, say
from lan import Lan, Node, inside

PORT = 5000
# What is measured: its host port, its ClusterIP, how a table calls it, and
# the prefix of which each node has a /24 (macvlan's is the LAN's own).
MACVLAN, OWN_BRIDGE, CNI = "macvlan", "bridge", "cni"
NETWORKS = {MACVLAN: (31000, "10.96.0.10", "pinion, macvlan", "10.9"),
            OWN_BRIDGE: (31001, "10.96.0.11", "pinion, bridge", "10.10"),
            CNI: (32000, "10.96.0.12", "CNI bridge", "10.244")}
NO_PODS = "no pods"
CASES = ("same node", "other node", "ClusterIP", "host port")
MEASURES = ("tcp_rr", "udp_rr", "stream", "packets")
CLIENT_CPU, SERVER_CPU = 0, 1

CONFIG = """\
[image]
registry_config_dir = "{hosts}"

[cgroup]
driver = "cgroupfs"
missing_controllers = "ignore"

[metrics]
address = "127.0.0.1:0"

[runtime]
warm_pods = WARM

[network]
mode = "MODE"
parent = "nic0"
range = "RANGE"
service_cidr = "10.96.0.0/16"
no_masquerade = ["10.10.0.0/16"]
"""

# What is shown: (name, measure, field of a sample, unit in figures).
FIGURES = (("TCP round trip p50, µs", "tcp_rr", "p50_us"),
           ("TCP round trip p99, µs", "tcp_rr", "p99_us"),
           ("UDP round trip p50, µs", "udp_rr", "p50_us"),
           ("UDP round trip p99, µs", "udp_rr", "p99_us"),
           ("one TCP stream, Gbit/s", "stream", "gbit"),
           ("CPU of the stream, ns/KiB", "stream", "ns_per_kib"),
           ("64-byte packets, thousand/s", "packets", "thousand"),
           ("CPU of a packet, µs", "packets", "us_per_packet"),
           ("CPU of a TCP round trip, µs", "tcp_rr", "us_per_trip"))
MORE_IS_BETTER = ("gbit", "thousand")

# What RunPodSandbox is measured with: name, warm_pods, both families.
STARTS = (("warm pool, IPv4", 4, False), ("warm pool, dual stack", 4, True),
          ("no pool, IPv4", 0, False), ("no pool, dual stack", 0, True))
WARM_GOAL_MS, COLD_GOAL_MS = 1, 5


def add_arguments(parser):
    parser.add_argument("--rounds", type=int, help="default 3; quick: 1")
    parser.add_argument("--seconds", type=float,
                        help="of each measurement; default 0.2")
    parser.add_argument("--pods", type=int,
                        help="RunPodSandbox of each kind (100; quick: 40)")


def config(mode, number, warm=4, both=False):
    ranges = f"{NETWORKS[mode][3]}.{number}.0/24"
    if both:
        ranges += f",fd00:9::{number}:0/112"
    text = CONFIG.replace("MODE", mode).replace("RANGE", ranges)
    if mode == OWN_BRIDGE:
        text = text.replace('parent = "nic0"\n', "")
    else:
        text = text.replace('no_masquerade = ["10.10.0.0/16"]\n', "")
    return text.replace("WARM", str(warm))


def derive(sample):
    """Adds what follows from the counts."""
    count, seconds, cpu = (sample[k] for k in ("count", "seconds", "tree_ms"))
    return {**sample,
            "gbit": count * 8 / seconds / 1e9,
            "ns_per_kib": cpu * 1e6 / (count / 1024),
            "thousand": count / seconds / 1e3,
            "us_per_packet": cpu * 1e3 / count,
            "us_per_trip": cpu * 1e3 / count}


class NetworkBenchmark:
    def __init__(self, host, options):
        self.host = host
        self.rounds = options.rounds or (1 if options.quick else 3)
        self.seconds = options.seconds or 0.2
        self.pods = options.pods or (40 if options.quick else 100)
        # (case, network, measure): [sample of each round].
        self.samples = collections.defaultdict(list)
        self.starts = {}
        self.paths = []
        self.tree = None
        self.busy = []

    # The LAN and its pods.

    def set_up(self):
        if AUTOGROUP.exists():
            AUTOGROUP.write_text("-20")
        self.host.set_up()
        self.tree = self.host.make_tree("path")
        self.lan = Lan(self.host)
        near, far = (Node(self.lan, n) for n in (1, 2))
        outside = self.lan.namespace("outside")
        self.lan.cable(outside, 9)
        for node, other in ((near, far), (far, near)):
            node.forward_as_kube_proxy()
            for mode in (MACVLAN, OWN_BRIDGE):
                node.pinion(mode, config(mode, node.number))
            for network in (OWN_BRIDGE, CNI):
                prefix = NETWORKS[network][3]
                run(*inside(node.netns, "ip", "route", "add",
                            f"{prefix}.{other.number}.0/24",
                            "via", other.address))
        for network, (host_port, service, _, _) in NETWORKS.items():
            server, client = self.pods_on(near, network, host_port, 2)
            backend, = self.pods_on(far, network, 0, 1)
            near.serve(service, PORT, backend.ip)
            for pod in (server, backend):
                self.start_server(pod.netns)
            self.paths += [
                ("same node", network, client.netns, server.ip, PORT),
                ("other node", network, client.netns, backend.ip, PORT),
                ("ClusterIP", network, client.netns, service, PORT),
                ("host port", network, outside, near.address, host_port)]
        self.start_server(far.netns)
        self.paths.append(("other node", NO_PODS, near.netns, far.address,
                           PORT))

    @staticmethod
    def pods_on(node, network, host_port, count):
        """The first has the host port, if it is not 0."""
        if network == CNI:
            return [node.bridge_pod(0 if i else host_port, PORT)
                    for i in range(count)]
        return node.pinion_pods(network, count, host_port, PORT)

    def start(self, netns, *words, **options):
        script = (f"echo $$ >{self.host.tree_procs(self.tree)}\n{GO_FIRST}\n"
                  'exec "$@"')
        return subprocess.Popen(
            ["sh", "-euc", script, "sh",
             *inside(netns, bench_binary("path_bench"), *words)],
            stdout=subprocess.PIPE, text=True, start_new_session=True,
            **options)

    def start_server(self, netns):
        server = self.start(netns, "server", PORT, SERVER_CPU)
        if server.stdout.readline() != "ready\n":
            raise Problem(f"no server in {netns}")

    # Measuring.

    def measure(self, path, what):
        case, network, netns, address, port = path
        client = self.start(netns, "client", address, port, CLIENT_CPU, what,
                            self.seconds, self.tree, stderr=subprocess.PIPE)
        out, errors = client.communicate(timeout=60)
        if client.returncode != 0:
            raise Problem(f"{case}, {network}, {what}: {errors.strip()}")
        self.samples[case, network, what].append(derive(json.loads(out)))

    def measure_paths(self):
        for path in self.paths:  # Neighbours, connection tracking.
            for what in ("tcp_rr", "udp_rr"):
                self.measure(path, what)
        self.samples.clear()
        for round_number in range(self.rounds):
            say(f"round {round_number + 1} of {self.rounds}")
            self.busy.append(self.others_busy())
            for case in CASES:
                for what in MEASURES:
                    for path in self.paths:
                        if path[0] == case:
                            self.measure(path, what)

    def others_busy(self):
        return self.host.settle(seconds=0.5)

    def measure_starts(self):
        for i, (name, warm, both) in enumerate(STARTS):
            say(f"RunPodSandbox: {name}")
            node = Node(self.lan, 11 + i)
            node.pinion(MACVLAN, config(MACVLAN, node.number, warm, both))
            runtime = node.runtimes[MACVLAN]
            made = run(bench_binary("sandbox_bench"), *runtime.pod_flags(),
                       "--log-root", self.host.scratch / "logs",
                       "--pods", str(self.pods + 5))
            pods = [json.loads(line) for line in made.splitlines()][5:]
            phases = [{phase["name"]: phase["durationNs"] / 1e6
                       for phase in pod["info"]["phases"]} for pod in pods]
            # Without the pool the monitor makes the namespace among others.
            parts = ("network",) if warm else ("network", "namespaces")
            self.starts[name] = {
                "run_ms": [pod["ms"] for pod in pods],
                "attach_ms": [phase["network"] for phase in phases],
                "network_ms": [sum(phase[part] for part in parts)
                               for phase in phases]}

    def measure_all(self):
        self.set_up()
        self.measure_paths()
        self.measure_starts()

    # Telling.

    def values(self, case, network, what, field):
        return [sample[field] for sample in self.samples[case, network, what]]

    def best(self, case, network, what, field):
        values = self.values(case, network, what, field)
        return max(values) if field in MORE_IS_BETTER else min(values)

    def against_cni(self, case, network, what, field):
        return (self.best(case, network, what, field) /
                self.best(case, CNI, what, field))

    def case_table(self, case):
        shown = [n for n in (*NETWORKS, NO_PODS)
                 if (case, n, "tcp_rr") in self.samples]
        rows = []
        for name, what, field in FIGURES:
            row = [name]
            for network in shown:
                values = self.values(case, network, what, field)
                row.append(f"{number(self.best(case, network, what, field))} "
                           f"({number(median(values))})")
            row += [number(self.against_cni(case, network, what, field))
                    for network in (MACVLAN, OWN_BRIDGE)]
            rows.append(row)
        head = [f"{case}: best round (median)",
                *(NETWORKS[n][2] if n in NETWORKS else n for n in shown),
                "macvlan / CNI", "bridge / CNI"]
        return table(head, rows)

    def starts_table(self):
        rows = []
        for name, found in self.starts.items():
            rows.append([name] + [
                f"{number(percentile(found[key], 0.5))} / "
                f"{number(percentile(found[key], 0.99))}"
                for key in ("attach_ms", "network_ms", "run_ms")])
        return table(["RunPodSandbox, ms, p50 / p99", "attach",
                      "network's part", "all of it"], rows)

    def goals(self):
        goals = []
        for case in CASES[:2]:
            for name, what, field in FIGURES:
                if field not in ("p50_us", "ns_per_kib"):
                    continue
                short = name.partition(",")[0]
                goals.append(Goal(
                    f"{case}: macvlan's {short}, against CNI's bridge",
                    self.against_cni(case, MACVLAN, what, field), 1))
        for name, found in self.starts.items():
            limit = WARM_GOAL_MS if name.startswith("warm") else COLD_GOAL_MS
            goals.append(Goal(f"RunPodSandbox, network's part p50, {name}",
                              percentile(found["network_ms"], 0.5), limit,
                              lambda ms: f"{number(ms)} ms"))
        return goals

    def report(self):
        parts = [f"{self.rounds} rounds of {self.seconds} s each; others took "
                 f"{number(min(self.busy))} to {number(max(self.busy))} CPUs"]
        for case in CASES:
            parts += ["", self.case_table(case)]
        parts += ["", self.starts_table(), "", goals_table(self.goals())]
        return "\n".join(parts)

    def to_json(self):
        return {"samples": [{"case": case, "network": network, "what": what,
                             "rounds": rounds}
                            for (case, network, what), rounds
                            in self.samples.items()],
                "starts": self.starts, "others_busy": self.busy,
                "goals": [goal.to_json() for goal in self.goals()]}


def main(host, options):
    benchmark = NetworkBenchmark(host, options)
    benchmark.measure_all()
    return benchmark
