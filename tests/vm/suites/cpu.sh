#!/bin/bash
# cpu.policy = "static" under systemd, on 4 CPUs in 2 NUMA nodes: exclusive
# CPUs, the shared pool around them, refusals, and all of it kept through a
# killed daemon and reloads of systemd. CPU 0 is reserved.
set -uo pipefail
tree=$(cd "$(dirname "$0")/../../.." && pwd)
# shellcheck source=tests/conformance/bed.sh
source "$tree/tests/conformance/bed.sh"

eval "$(declare -f bed_write_config | sed '1s/bed_write_config/plain_config/')"
bed_write_config() {
  plain_config
  printf '\n[cpu]\npolicy = "static"\nreserved = "0"\n' \
    >>"$bed_scratch/pinion.toml"
}

# run NAME RESOURCES: a container that sleeps, in a pod of its own: $id, $pod.
run() {
  make "$1" "$2"
  need "create $1" "$id"
  check "start $1" "$id" "$(crictl start "$id")"
}
# make NAME RESOURCES [ANNOTATIONS]: created only; errors are in $id.
make() {
  write_pod "$1"
  if [[ -n ${3:-} ]]; then
    sed -i "s|\"annotations\": {|&$3, |" "$bed_scratch/pod.json"
  fi
  pod=$(crictl runp "$bed_scratch/pod.json")
  need "runp $1" "$pod"
  container "$1" "$busybox" '"command": ["sleep", "1000000"]' "$2"
  id=$(create "$1" "$pod" 2>&1)
}

effective() { cat "$(bed_leaf "$1")/cpuset.cpus.effective"; }
# The CPUs that a process of the container (1, or self for an exec) may use.
allowed() {
  crictl exec -s "$1" sed -n 's/^Cpus_allowed_list:\t//p' "/proc/$2/status"
}

# check_cpus WHO CONTAINER CPUS WHEN: on disk, its process, an exec.
check_cpus() {
  check "cpuset of $1 $4" "$3" "$(effective "$2")"
  check "affinity of $1 $4" "$3" "$(allowed "$2" 1)"
  check "affinity of an exec in $1 $4" "$3" "$(allowed "$2" self)"
}

monitors() {
  find "$(bed_cgroup_root)" -path '*/monitor/cgroup.procs' -exec cat {} +
}
# The lists of CPUs that threads of the daemon and of the monitors may use.
housekeeping() {
  local process
  for process in "$bed_daemon" $(monitors); do
    sed -n 's/^Cpus_allowed_list:\t//p' "/proc/$process"/task/*/status
  done | sort -u | tr '\n' ' '
}

# Every thread of these processes, looked at often while something runs: the
# CPUs they were seen on (field 39 of stat, proc(5)). One that sleeps is still
# where it last ran: it counts only once it has run since the first look.
seen_on() {
  python3 - "$@" <<'PY'
import glob, re, sys

def look(task):
    """(CPU, state, how often it was switched), or None if it is gone."""
    try:
        stat = open(task + "/stat").read().rsplit(")", 1)[1].split()
        status = open(task + "/status").read()
    except OSError:
        return None
    return int(stat[36]), stat[0], sum(
        map(int, re.findall(r"ctxt_switches:\s+(\d+)", status)))

first, seen = {}, set()
for _ in range(1000):
    for pid in sys.argv[1:]:
        for task in glob.glob(f"/proc/{pid}/task/*"):
            now = look(task)
            if now is None:
                continue
            cpu, state, switches = now
            if state == "R" or first.setdefault(task, switches) != switches:
                seen.add(cpu)
print(*sorted(seen))
PY
}
meets() { comm -12 <(tr ' ' '\n' <<<"$1" | sort) <(printf '%s\n' 2 3); }

shrink_and_grow() {
  bed_step "a pinned container takes its CPUs from the others"
  run shared ""
  shared=$id
  check_cpus "the shared one" "$shared" 0-3 "alone"
  run pinned '"cpu_period": 100000, "cpu_quota": 200000, "cpu_shares": 2048'
  pinned=$id pinned_pod=$pod
  check_cpus "the pinned one" "$pinned" 2-3 "at first"
  check "its memory" 1 "$(cat "$(bed_leaf "$pinned")/cpuset.mems.effective")"
  check_cpus "the shared one" "$shared" 0-1 "beside it"
  run later '"cpu_period": 100000, "cpu_quota": 150000'
  later=$id
  check_cpus "one and a half CPUs" "$later" 0-1 "beside it"
  check "daemon and monitors may use" "0 " "$(housekeeping)"
  check "monitors" 3 "$(monitors | wc -l)"
}

load() {
  bed_step "load"
  burn "$shared" 4
  burn "$pinned" 2
  local others
  others=$(cat "$(bed_leaf "$shared")"/cgroup.procs \
    "$(bed_leaf "$shared")"/*/cgroup.procs)
  # shellcheck disable=SC2046,SC2086  # Words on purpose.
  check "CPUs of the pinned one that others were seen on" "" \
    "$(meets "$(seen_on $others "$bed_daemon" $(monitors))")"
}
# burn CONTAINER N: N loops in it, from an exec.
burn() {
  crictl exec -s "$1" sh -c "i=0; while [ \$i -lt $2 ]; do i=\$((i+1))
    (while :; do :; done) </dev/null >/dev/null 2>&1 & done" >/dev/null
}

refusals() {
  bed_step "what does not fit"
  make greedy '"cpu_period": 100000, "cpu_quota": 200000'
  check_match "two more CPUs" "ResourceExhausted.*2 exclusive CPUs do not fit: 1 are free; node 0: 1" \
    "$id"
  crictl rmp --force "$pod" >/dev/null 2>&1
  make elsewhere '"cpu_period": 100000, "cpu_quota": 100000' \
    '"cpu.pinion.dev/node": "1"'
  check_match "a node that is full" "ResourceExhausted.*on NUMA node 1" "$id"
  crictl rmp --force "$pod" >/dev/null 2>&1
  make partition "" '"cpu.pinion.dev/cpus": "1", "cpu.pinion.dev/isolation": "partition"'
  check_match "a partition" "Unimplemented.*partition" "$id"
  crictl rmp --force "$pod" >/dev/null 2>&1
  check_match "another number of CPUs while it runs" "FailedPrecondition" \
    "$(crictl update --cpu-quota 100000 "$pinned" 2>&1)"
  check_cpus "the pinned one" "$pinned" 2-3 "after refusals"
  check_cpus "the shared one" "$shared" 0-1 "after refusals"
}

# check_all WHEN
check_all() {
  check_cpus "the pinned one" "$pinned" 2-3 "$1"
  check_cpus "the shared one" "$shared" 0-1 "$1"
  check "daemon and monitors may use $1" "0 " "$(housekeeping)"
}

restarts() {
  bed_step "restarts"
  bed_end_piniond KILL
  bed_piniond
  check_all "after the daemon was killed"
  check "daemon-reload" 0 "$(systemctl daemon-reload; echo $?)"
  check_all "after daemon-reload"
  check "daemon-reexec" 0 "$(systemctl daemon-reexec; echo $?)"
  check_all "after daemon-reexec"
  check_match "the grant is kept" "2-3 +2 +1 +bed/pinned/pinned" \
    "$("$bed_binaries/pinionctl" cpus --socket "$bed_scratch/pinion.sock")"
  check_match "metrics" "pinion_cpu_exclusive 2" \
    "$(curl -s http://127.0.0.1:9469/metrics | grep '^pinion_cpu_exclusive')"
  # What wrote there while nobody watched is set right by a restart.
  bed_end_piniond KILL
  echo 0-3 >"$(bed_leaf "$shared")/cpuset.cpus"
  bed_piniond
  check_all "after a foreign write and a restart"
}

ends() {
  bed_step "its end gives the CPUs back"
  bed_end_piniond KILL
  kill -KILL "$(bed_init_pid "$pinned")"
  bed_piniond
  eventually 20 "the shared one has them" 0-3 effective "$shared"
  check_cpus "the shared one" "$shared" 0-3 "alone again"
  make one '"cpu_period": 100000, "cpu_quota": 100000' \
    '"cpu.pinion.dev/node": "1"'
  need "create one" "$id"
  check "start one" "$id" "$(crictl start "$id")"
  check_cpus "the pinned one" "$id" 2 "with one CPU"
  check_cpus "the shared one" "$shared" 0-1,3 "beside one CPU"
  check "stop" "$id" "$(crictl stop --timeout 0 "$id")"
  eventually 20 "the shared one has it" 0-3 effective "$shared"
  check_match "rmp of the first" "$pinned_pod" \
    "$(crictl rmp --force "$pinned_pod" 2>&1)"
  check "the other shared one has them too" 0-3 "$(effective "$later")"
  "$bed_binaries/pinionctl" cpus --socket "$bed_scratch/pinion.sock"
}

bed_start
check_match pull "sha256:" "$(crictl pull "$busybox" 2>&1)"
shrink_and_grow
load
refusals
restarts
ends
crictl rmp --all --force >/dev/null 2>&1
bed_finish
