"""A LAN in network namespaces: a switch, hosts on it, and pods on the hosts,
of pinion's or of CNI's bridge plugin.

Nothing is cleaned up here: it goes with the namespaces of tests/bench/run.
"""

import dataclasses
import json
import os
import subprocess

from host import Problem, bench_binary, run
import runtimes

PLUGINS = "/usr/lib/cni"
# What a small cluster has beside the services that are measured.
OTHER_SERVICES = 100


def inside(netns, *words):
    """The command, to run in a network namespace."""
    return ["nsenter", f"--net={netns}", *map(str, words)]


def shell(netns, script):
    return run(*inside(netns, "sh", "-euc", script))


@dataclasses.dataclass
class Pod:
    netns: str  # A path.
    ip: str


class Lan:
    def __init__(self, host):
        self.host = host
        self.switch = self.namespace("lan")
        shell(self.switch, "ip link add br0 type bridge; ip link set br0 up")

    def namespace(self, name):
        run("ip", "netns", "add", name)
        path = f"/run/netns/{name}"
        shell(path, "ip link set lo up")
        return path

    def cable(self, netns, number):
        """A NIC `nic0` on the switch, with 10.9.0.NUMBER and fd00:9::NUMBER."""
        port = f"port{number}"
        shell(netns,
              f"ip link add nic0 type veth peer name {port} netns lan; "
              f"ip address add 10.9.0.{number}/16 dev nic0; "
              f"ip address add fd00:9::{number}/64 dev nic0 nodad; "
              "ip link set nic0 up")
        shell(self.switch, f"ip link set {port} master br0 up")


class Node:
    """A host with a piniond and with CNI's bridge beside it."""

    def __init__(self, lan, number):
        self.lan, self.number = lan, number
        self.address = f"10.9.0.{number}"
        self.netns = lan.namespace(f"node{number}")
        lan.cable(self.netns, number)
        shell(self.netns, "sysctl -qw net.ipv4.ip_forward=1")
        self.runtimes = {}
        self.bridge_pods = 0

    # pinion.

    def pinion(self, mode, config):
        """The pods of a daemon in this mode, which is started once."""
        label = f"pinion-{mode}-{self.number}"
        hosts = self.lan.host.scratch / "no-registries"
        hosts.mkdir(exist_ok=True)
        self.runtimes[mode] = runtimes.start_pinion(
            self.lan.host, hosts, label, config, self.netns)

    def pinion_pods(self, mode, count, host_port, port):
        runtime = self.runtimes[mode]
        made = run(bench_binary("sandbox_bench"), *runtime.pod_flags(),
                   "--log-root", self.lan.host.scratch / "logs",
                   "--pods", str(count), "--keep", "1",
                   "--host-port", str(host_port), "--port", str(port))
        infos = [json.loads(line)["info"] for line in made.splitlines()]
        return [Pod(info["netns"], info["ip"]) for info in infos]

    # CNI: bridge, host-local, portmap.

    def plugin(self, name, netns, container, config):
        env = {**os.environ, "CNI_COMMAND": "ADD", "CNI_NETNS": netns,
               "CNI_CONTAINERID": container, "CNI_IFNAME": "eth0",
               "CNI_PATH": PLUGINS}
        done = subprocess.run(inside(self.netns, f"{PLUGINS}/{name}"),
                              input=json.dumps(config), env=env, text=True,
                              capture_output=True, check=False)
        if done.returncode != 0:
            raise Problem(f"CNI plugin {name}: {done.stdout}{done.stderr}")
        return json.loads(done.stdout)

    def bridge_pod(self, host_port, port):
        self.bridge_pods += 1
        name = f"bridge{self.number}x{self.bridge_pods}"
        netns = self.lan.namespace(name)
        both = {"cniVersion": "1.0.0", "name": "bench"}
        result = self.plugin("bridge", netns, name, {
            **both, "type": "bridge", "bridge": "cni0", "isGateway": True,
            "ipMasq": True, "hairpinMode": True,
            "ipam": {"type": "host-local",
                     "dataDir": f"/run/cni-{self.number}",
                     "ranges": [[{"subnet": f"10.244.{self.number}.0/24"}]],
                     "routes": [{"dst": "0.0.0.0/0"}]}})
        if host_port:
            self.plugin("portmap", netns, name, {
                **both, "type": "portmap", "snat": True,
                "capabilities": {"portMappings": True},
                "prevResult": result,
                "runtimeConfig": {"portMappings": [
                    {"hostPort": host_port, "containerPort": port,
                     "protocol": protocol} for protocol in ("tcp", "udp")]}})
        return Pod(netns, result["ips"][0]["address"].partition("/")[0])

    # kube-proxy, in its iptables mode.

    def forward_as_kube_proxy(self):
        shell(self.netns,
              "iptables -A FORWARD -m conntrack --ctstate INVALID -j DROP; "
              "iptables -A FORWARD -m conntrack --ctstate "
              "RELATED,ESTABLISHED -j ACCEPT; "
              "iptables -t nat -N KUBE-SERVICES; "
              "iptables -t nat -A PREROUTING -j KUBE-SERVICES; "
              "iptables -t nat -A OUTPUT -j KUBE-SERVICES")
        rules = ["*nat"] + [
            f"-A KUBE-SERVICES -d 10.96.1.{i}/32 -p tcp --dport 80 "
            f"-j DNAT --to-destination 10.9.77.{i}:80"
            for i in range(1, OTHER_SERVICES + 1)] + ["COMMIT", ""]
        run(*inside(self.netns, "iptables-restore", "--noflush"),
            input="\n".join(rules))

    def serve(self, service_ip, port, backend):
        for protocol in ("tcp", "udp"):
            shell(self.netns,
                  f"iptables -t nat -A KUBE-SERVICES -d {service_ip}/32 "
                  f"-p {protocol} --dport {port} -j DNAT "
                  f"--to-destination {backend}:{port}")
