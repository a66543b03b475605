"""Starts each runtime under test on a benchmark's host.

A runtime is a label, a CRI socket, a daemon's pid, a cgroup tree and a
handler; all of it lives in the host's scratch directory.
"""

import dataclasses
import json
import pathlib
import shutil
import subprocess
import time

from host import CGROUPS, Problem, binaries, run, say

BUSYBOX = "registry.k8s.io/e2e-test-images/busybox:1.29-2"
# Handler and subnet of the pods.
PEERS = {
    "containerd+crun": ("crun", "10.129.0.0/17"),
    "containerd+runc": ("runc", "10.130.0.0/17"),
}
PAUSE = "registry.k8s.io/pause:3.9"
START_SECONDS = 60


@dataclasses.dataclass
class Runtime:
    label: str
    socket: str
    pid: int
    tree: str
    handler: str
    version: str
    log: pathlib.Path

    def client_flags(self):
        return ["--socket", self.socket, "--label", self.label,
                "--tree", self.tree, "--daemon-pid", str(self.pid)]

    def pod_flags(self):
        return [*self.client_flags(), "--runtime-handler", self.handler,
                "--cgroup-parent", self.tree + "/pods"]

    def resident_kib(self):
        status = pathlib.Path(f"/proc/{self.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0])

    def log_tail(self):
        return self.log.read_text(errors="replace")[-3000:]


def await_socket(process, socket, log):
    """Until the daemon serves (its socket accepts), bounded."""
    import socket as sockets
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        with sockets.socket(sockets.AF_UNIX) as probe:
            try:
                probe.connect(str(socket))
                return
            except OSError:
                time.sleep(0.05)
    raise Problem(f"the daemon does not serve {socket}; its log ends:\n"
                  + log.read_text(errors="replace")[-3000:])


def directory(host, label):
    place = host.scratch / label
    place.mkdir()
    return place


# pinion.

PINION_CONFIG = """\
[image]
registry_config_dir = "{hosts}"

[cgroup]
driver = "cgroupfs"
missing_controllers = "ignore"

[network]
mode = "macvlan"
parent = "parent"
range = "10.128.0.0/18"
"""


def start_pinion(host, hosts, label="pinion", config=PINION_CONFIG,
                 netns=None):
    """piniond; in the network namespace with this path, if one is given."""
    say(f"start {label}")
    program = binaries() / "piniond"
    if not program.exists():
        raise Problem(f"{program} is missing: build first (./dev build)")
    place = directory(host, label)
    config_file = place / "pinion.toml"
    config_file.write_text(config.format(hosts=hosts))
    socket = f"/run/{label}.sock"
    log = place / "log"
    tree = host.make_tree(label)
    enter = ["nsenter", f"--net={netns}"] if netns else []
    process = host.start_in_tree(
        tree, 'exec "$@"', log, *enter, program, "--config", config_file,
        "--root", place / "root", "--state", f"/run/{label}",
        "--socket", socket)
    await_socket(process, socket, log)
    version = run(program, "--version").strip()
    return Runtime(label, socket, process.pid, tree, "", version, log)


# containerd.

CONTAINERD_CONFIG = """\
version = 2
root = "{place}/root"
state = "/run/containerd/state"
disabled_plugins = ["io.containerd.internal.v1.opt"]

[grpc]
  address = "{socket}"

[plugins."io.containerd.grpc.v1.cri"]
  restrict_oom_score_adj = true
  sandbox_image = "{pause}"
  stream_server_address = "127.0.0.1"
  stream_server_port = "0"

[plugins."io.containerd.grpc.v1.cri".cni]
  bin_dir = "/usr/lib/cni"
  conf_dir = "{place}/cni"

[plugins."io.containerd.grpc.v1.cri".registry]
  config_path = "{hosts}"

[plugins."io.containerd.grpc.v1.cri".containerd]
  snapshotter = "overlayfs"
  default_runtime_name = "{handler}"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.{handler}]
  runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.{handler}.options]
  BinaryName = "{program}"
"""

# A mount namespace of its own, in which crun 1.8 sees no hybrid hierarchy (it
# refuses one); and /run/containerd, which its shims have built in, is its own.
CONTAINERD_SCRIPT = """\
if [ -e {unified}/cgroup.procs ]; then umount {unified}; fi
mkdir -p /run/containerd
mount -t tmpfs tmpfs /run/containerd
exec "$@"
"""


def cni_config(subnet):
    return {"cniVersion": "0.4.0", "name": "bench", "plugins": [
        {"type": "macvlan", "master": "parent", "mode": "bridge",
         "ipam": {"type": "host-local", "dataDir": "/run/cni-" + subnet[:6],
                  "ranges": [[{"subnet": subnet}]],
                  "routes": [{"dst": "0.0.0.0/0"}]}}]}


def start_containerd(host, hosts, handler, subnet):
    """containerd with runc or crun as its only handler."""
    label = f"containerd+{handler}"
    say(f"start {label}")
    containerd, program = shutil.which("containerd"), shutil.which(handler)
    if not containerd or not program:
        raise Problem(f"containerd or {handler} is missing: "
                      "./dev setup installs tests/bench/packages.txt")
    place = directory(host, label)
    (place / "cni").mkdir()
    (place / "cni/10-bench.conflist").write_text(
        json.dumps(cni_config(subnet)))
    socket = f"/run/{label}.sock"
    (place / "config.toml").write_text(CONTAINERD_CONFIG.format(
        place=place, hosts=hosts, handler=handler, program=program,
        pause=PAUSE, socket=socket))
    log = place / "log"
    tree = host.make_tree(label)
    process = host.start_in_tree(
        tree, CONTAINERD_SCRIPT.format(unified=CGROUPS / "unified"), log,
        containerd, "--config", place / "config.toml")
    await_socket(process, socket, log)
    version = " ".join(run(containerd, "--version").split()[2:3] + [handler] +
                       run(program, "--version").split()[2:3])
    return Runtime(label, socket, process.pid, tree, handler, version, log)


def pull(client, runtime, image):
    """Brings an image in, unmeasured."""
    say(f"{runtime.label} pulls {image}")
    done = subprocess.run(
        [client, "--socket", runtime.socket, "--image", image,
         "--pulls", "1", "--keep", "1"], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Problem(f"{runtime.label}: {done.stderr.strip()}\n"
                      + runtime.log_tail())


def start_all(host, labels, client):
    """The runtimes with these labels; each has pulled busybox by `client`."""
    hosts = host.start_registry()
    started = []
    for label in labels:
        if label == "pinion":
            started.append(start_pinion(host, hosts))
        elif label in PEERS:
            started.append(start_containerd(host, hosts, *PEERS[label]))
        else:
            raise Problem(f"no runtime {label}")
    for runtime in started:
        pull(client, runtime, BUSYBOX)
    return started
