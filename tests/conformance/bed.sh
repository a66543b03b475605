# shellcheck shell=bash
# What the scripts of this folder and the VM's suites share: a scratch
# directory, the registry, a piniond of their own, and checks that count.
# Source it, then call bed_start; everything it started or made is gone when
# the script ends, however it ends.
#
#   PINION_BIN        where piniond is (default build/bin)
#   BED_ENDPOINT      test a runtime that runs already at this unix:// address
#                     with BED_HOSTS_PORT's registry (to try the bed on a peer)
#   bed_network=MODE  network.mode: macvlan (the default), ipvlan (in the VM), or
#                     cni: from Debian's CNI plugins
#   CI=true           what would be skipped fails instead

# shellcheck disable=SC2034  # Used by those who source this.
readonly busybox=registry.k8s.io/e2e-test-images/busybox:1.29-2
# shellcheck disable=SC2034
readonly nginx=registry.k8s.io/e2e-test-images/nginx:1.14-2

bed_here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
bed_tree=$(cd "$bed_here/../.." && pwd)
bed_passed=0
bed_failed=0
# The machine may be a busy one: only what fails takes that long.
bed_patience=6
[[ -z ${PINION_VM:-} ]] || bed_patience=12
bed_scratch=
bed_daemon=

# Ends the script as skipped, which in CI is a failure.
bed_skip() {
  echo "skipped: $*"
  if [[ ${CI:-} == true ]]; then
    echo "0 passed, 1 failed"
    exit 1
  fi
  echo "0 passed, 0 failed, 1 skipped"
  exit 77
}

bed_step() { printf '== %s\n' "$*"; }

# check WHAT WANT HAVE: equal?
check() {
  if [[ $2 == "$3" ]]; then
    bed_passed=$((bed_passed + 1))
    echo "ok   $1: ${3:0:120}"
  else
    bed_failed=$((bed_failed + 1))
    printf 'FAIL %s\n  want: %s\n  have: %s\n' "$1" "$2" "$3"
  fi
}

# check_match WHAT REGEX HAVE: does the extended regular expression match?
check_match() {
  if [[ $3 =~ $2 ]]; then
    bed_passed=$((bed_passed + 1))
    echo "ok   $1: ${BASH_REMATCH[0]:0:120}"
  else
    bed_failed=$((bed_failed + 1))
    printf 'FAIL %s\n  want a match of: %s\n  have: %s\n' "$1" "$2" "$3"
  fi
}

# need WHAT VALUE: gives up if the value is empty, as nothing after makes sense.
need() {
  [[ -z $2 ]] || return 0
  bed_failed=$((bed_failed + 1))
  echo "FAIL $1: nothing; giving up"
  exit 1
}

# bed_limit SECONDS MOST: how long to wait for what takes so long on an idle
# machine; one failure must not use up the time that a suite is given.
bed_limit() {
  local limit=$(($1 * bed_patience))
  echo $((limit < $2 ? limit : $2))
}

# eventually SECONDS WHAT WANT COMMAND…: the command's output comes to be WANT.
# For what the CRI has no event for; bounded, in the VM more widely: emulated
# CPUs stand still now and then.
eventually() {
  local began=$SECONDS limit what=$2 want=$3 have said=
  limit=$(bed_limit "$1" 120)
  shift 3
  while have=$("$@" 2>/dev/null) || true; [[ $have != "$want" ]] &&
    ((SECONDS - began < limit)); do
    # Should the suite be killed meanwhile, it is known what for.
    if [[ -z $said ]] && ((SECONDS - began >= 30)); then
      said=yes
      printf '... waiting for %s\n  want: %s\n  have: %s\n' \
        "$what" "$want" "$have"
    fi
    sleep 0.1
  done
  check "$what" "$want" "$have"
}

# The summary and the exit code.
bed_finish() {
  bed_stop
  echo "$bed_passed passed, $bed_failed failed"
  [[ $bed_failed == 0 ]]
}

crictl() { "$bed_tools/crictl" --config "$bed_scratch/crictl.yaml" "$@"; }

# get KEY…: one value of the JSON on standard input, as text; a number is an
# index; nothing if it is not there.
get() {
  python3 -c '
import json, sys
value = json.load(sys.stdin)
for key in sys.argv[1:]:
    if isinstance(value, list):
        value = value[int(key)] if int(key) < len(value) else None
    else:
        value = (value or {}).get(key)
print("" if value is None else
      value if isinstance(value, str) else json.dumps(value))' "$@"
}

# write_pod NAME: writes pod.json, the configuration of a pod.
write_pod() {
  cat >"$bed_scratch/pod.json" <<JSON
{"metadata": {"name": "$1", "namespace": "bed", "uid": "$1-uid",
              "attempt": 1},
 "hostname": "$1-host", "log_directory": "$bed_scratch/logs",
 "labels": {"bed": "yes"}, "annotations": {"pinion.test/kept": "a b=c"},
 "dns_config": {"servers": ["10.96.0.10"], "searches": ["svc.local"],
                "options": ["ndots:5"]},
 "linux": {"cgroup_parent": "$bed_cgroup_parent",
           "security_context": {"namespace_options": {"pid": 1}}}}
JSON
}

# container NAME IMAGE [MORE-JSON [RESOURCES]]: writes its configuration: a
# PID namespace of its own, as the kubelet asks by default (its value is 1).
container() {
  cat >"$bed_scratch/$1.json" <<JSON
{"metadata": {"name": "$1"}, "image": {"image": "$2"},
 "log_path": "$1.log", "labels": {"bed": "yes"},
 "annotations": {"pinion.test/kept": "a b=c"},
 "linux": {"resources": {${4-}},
           "security_context": {"namespace_options": {"pid": 1},
                                "masked_paths": ["/proc/keys"],
                                "readonly_paths": ["/proc/sys"]}}${3:+, $3}}
JSON
}

# create NAME POD: creates it, prints the id.
create() {
  crictl create --no-pull "$2" "$bed_scratch/$1.json" "$bed_scratch/pod.json"
}

state_of() { crictl inspect "$1" | get status state; }

# The mount point of cgroup v2.
bed_cgroup_root() {
  awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts
}

# bed_leaf CONTAINER: its cgroup's directory.
bed_leaf() {
  find "$(bed_cgroup_root)" -depth -type d -name "*$1*" -print -quit
}

# bed_init_pid CONTAINER: the host's pid of its first process.
bed_init_pid() {
  local leaf
  leaf=$(bed_leaf "$1")
  [[ -n $leaf ]] && head -n 1 "$leaf/cgroup.procs"
}

bed_network_config() {
  if [[ ${bed_network:-macvlan} != cni ]]; then
    printf '%s\n' "mode = \"${bed_network:-macvlan}\"" 'parent = "auto"' \
      'range = "10.88.0.0/24"'
    return
  fi
  mkdir -p "$bed_scratch/net.d" "$bed_scratch/host-local"
  cat >"$bed_scratch/net.d/10-bed.conflist" <<JSON
{"cniVersion": "1.0.0", "name": "bed", "plugins": [
  {"type": "bridge", "bridge": "pn-bed0", "isGateway": true, "ipMasq": true,
   "ipam": {"type": "host-local", "dataDir": "$bed_scratch/host-local",
            "ranges": [[{"subnet": "10.88.0.0/24"}]],
            "routes": [{"dst": "0.0.0.0/0"}]}},
  {"type": "portmap", "capabilities": {"portMappings": true}}]}
JSON
  printf '%s\n' 'mode = "cni"' "cni_conf_dir = \"$bed_scratch/net.d\""
}

bed_write_config() {
  local driver=cgroupfs missing=ignore
  if [[ -d /run/systemd/system ]]; then
    driver=systemd missing=refuse
  fi
  cat >"$bed_scratch/pinion.toml" <<TOML
[image]
registry_config_dir = "$bed_scratch/registry/hosts"

[cgroup]
driver = "$driver"
missing_controllers = "$missing"

[network]
$(bed_network_config)

# As the kubelet's --allowed-unsafe-sysctls would say; one of critest's specs
# sets fs.mqueue.msg_max.
[runtime]
allowed_unsafe_sysctls = ["fs.mqueue.*"]
TOML
}

# bed_piniond: starts the daemon and waits until it serves.
bed_piniond() {
  "$bed_binaries/piniond" --config "$bed_scratch/pinion.toml" \
    --root "$bed_scratch/root" --state "$bed_scratch/state" \
    --socket "$bed_scratch/pinion.sock" --metrics-address 127.0.0.1:9469 \
    >>"$bed_scratch/piniond.log" 2>&1 &
  bed_daemon=$!
  local deadline=$((SECONDS + $(bed_limit 60 180)))
  until crictl version >/dev/null 2>&1; do
    if ! kill -0 "$bed_daemon" 2>/dev/null || ((SECONDS > deadline)); then
      echo "FAIL piniond does not serve; its log ends:"
      tail -n 20 "$bed_scratch/piniond.log"
      bed_failed=$((bed_failed + 1))
      exit 1
    fi
    sleep 0.1
  done
}

# bed_end_piniond SIGNAL: ends it; its exit code in bed_daemon_code.
bed_end_piniond() {
  bed_daemon_code=
  [[ -n $bed_daemon ]] || return 0
  kill -s "$1" "$bed_daemon" 2>/dev/null
  wait "$bed_daemon" 2>/dev/null
  bed_daemon_code=$?
  bed_daemon=
}

bed_start() {
  [[ $(id -u) == 0 ]] || bed_skip "needs root"
  bed_binaries=${PINION_BIN:-$bed_tree/build/bin}
  if [[ -z ${BED_ENDPOINT:-} && ! -x $bed_binaries/piniond ]]; then
    echo "FAIL $bed_binaries/piniond is missing: build first"
    exit 1
  fi
  local reason
  if [[ -d $bed_tree/tools/cri-tools ]]; then  # Brought into the VM.
    bed_tools=$bed_tree/tools/cri-tools
  elif bed_tools=$("$bed_here/build_tools" 2>/tmp/pn-bed-$$); then
    rm -f "/tmp/pn-bed-$$"
  else
    local code=$?
    reason=$(tail -n 1 "/tmp/pn-bed-$$")
    rm -f "/tmp/pn-bed-$$"
    [[ $code == 77 ]] && bed_skip "$reason"
    echo "FAIL $reason"
    exit 1
  fi

  bed_scratch=$(mktemp -d /tmp/pn-bed-XXXXXX)
  trap bed_cleanup EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM HUP
  local -a filled=()
  [[ ! -d $bed_tree/registry-filled ]] ||
    filled=(--filled "$bed_tree/registry-filled")
  "$bed_here/registry" start "$bed_scratch/registry" \
    "${BED_HOSTS_PORT:-0}" "${filled[@]}" >/dev/null || exit 1
  local endpoint=${BED_ENDPOINT:-unix://$bed_scratch/pinion.sock}
  printf 'runtime-endpoint: %s\nimage-endpoint: %s\ntimeout: 300\n' \
    "$endpoint" "$endpoint" >"$bed_scratch/crictl.yaml"
  mkdir "$bed_scratch/logs"
  # What the kubelet would do: a slice of ours, or the cgroup above the pod's.
  bed_cgroup_parent=pinionbed.slice
  if [[ ! -d /run/systemd/system ]]; then
    bed_cgroup_parent=/pn-bed-$BASHPID-$RANDOM
    mkdir "$(bed_cgroup_root)$bed_cgroup_parent"
  fi
  bed_mounts=$(bed_mount_points)
  [[ -n ${BED_ENDPOINT:-} ]] && return
  bed_write_config
  bed_piniond
}

# Stops what runs; the checks that nothing is left come here.
bed_stop() {
  [[ -n $bed_daemon ]] || return 0
  bed_end_piniond TERM
  check "piniond's exit code on SIGTERM" 0 "$bed_daemon_code"
  eventually 10 "processes left" "" bed_strays
  eventually 10 "mounts that came or went" "" bed_mount_changes
}

# Where something is mounted, but for what systemd mounts while a service starts.
bed_mount_points() {
  awk '$5 !~ "^/run/credentials" { print $5 }' /proc/self/mountinfo | sort
}

# From bed_start.
bed_mount_changes() { diff <(echo "$bed_mounts") <(bed_mount_points); }

# bed_await_systemd: until it answers, which it does not while it is re-executed.
bed_await_systemd() {
  local deadline=$((SECONDS + $(bed_limit 60 180)))
  until systemctl show -p Version >/dev/null 2>&1 || ((SECONDS > deadline)); do
    sleep 0.1
  done
}

# Processes that have the scratch directory on their command line or among
# their open files: the daemon's and its monitors', and nobody else's.
bed_strays() {
  local process
  for process in /proc/[0-9]*; do
    [[ ${process#/proc/} != "$$" && ${process#/proc/} != "$BASHPID" ]] ||
      continue
    if find "$process/fd" -lname "$bed_scratch/*" -print -quit 2>/dev/null |
      grep -q . && ! grep -qs docker-registry "$process/cmdline"; then
      echo "${process#/proc/} $(tr '\0' ' ' <"$process/cmdline")"
    fi
  done
}

bed_cleanup() {
  local code=$?
  set +e
  if [[ -n $bed_daemon ]]; then
    # Not the way out of a good run: leave no pod behind.
    crictl rmp --all --force >/dev/null 2>&1
    bed_end_piniond TERM
  fi
  local stray
  for stray in $(bed_strays | cut -d' ' -f1); do
    kill -KILL "$stray" 2>/dev/null
  done
  "$bed_here/registry" stop "$bed_scratch/registry"
  if [[ ${bed_cgroup_parent:-} == /* ]]; then
    local parent
    parent=$(bed_cgroup_root)$bed_cgroup_parent
    echo 1 >"$parent/cgroup.kill"
    local tries=600
    until grep -qx 'populated 0' "$parent/cgroup.events" ||
      ((--tries == 0)); do
      sleep 0.1
    done
    find "$parent" -depth -type d -exec rmdir {} \;
  fi
  if [[ -n ${RESULTS:-} ]]; then
    cp "$bed_scratch"/*.log "$bed_scratch"/*-report.json "$RESULTS/" 2>/dev/null
    cp -r "$bed_scratch/logs" "$RESULTS/container-logs"
  elif ((bed_failed > 0 || code != 0)) && [[ -e $bed_scratch/piniond.log ]]; then
    echo "the end of piniond's log:"
    tail -n 25 "$bed_scratch/piniond.log"
  fi
  if [[ -n ${BED_KEEP:-} ]]; then
    echo "kept $bed_scratch"
  else
    rm -rf --one-file-system "$bed_scratch"
  fi
  exit "$code"
}
