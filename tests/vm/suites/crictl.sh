#!/bin/bash
# crictl against piniond under systemd: the whole round trip, checkpoints, then
# a pod whose limits are read back on disk and from inside, before and after
# systemd is reloaded, re-executed and has changed the pod's scope.
set -uo pipefail
tree=$(cd "$(dirname "$0")/../../.." && pwd)

bash "$tree/tests/conformance/crictl_roundtrip.sh"
roundtrip=$?
# Here criu works.
bash "$tree/tests/conformance/crictl_checkpoint.sh" || roundtrip=1
bash "$tree/tests/conformance/crictl_userns.sh" || roundtrip=1

# shellcheck source=tests/conformance/bed.sh
source "$tree/tests/conformance/bed.sh"

# What is asked, and where it must be seen. cpu.max is quota and period.
readonly -A limits=(
  [cpu.max]="50000 100000" [memory.max]=67108864 [cpuset.cpus]=2-3
  [cpuset.mems]=1)

on_disk() { cat "$leaf/$1"; }
inside() { crictl exec -s "$id" cat "/sys/fs/cgroup/$1"; }

# check_limits WHEN
check_limits() {
  local file
  for file in "${!limits[@]}"; do
    check "$file on disk $1" "${limits[$file]}" "$(on_disk "$file")"
    check "$file from inside $1" "${limits[$file]}" "$(inside "$file")"
  done
  check "affinity of an exec $1" 2-3 "$(allowed self)"
  check "affinity of the container's process $1" 2-3 "$(allowed 1)"
}

allowed() {
  crictl exec -s "$id" sed -n 's/^Cpus_allowed_list:\t//p' "/proc/$1/status"
}

start_limited() {
  bed_step "a container with limits"
  check_match "pull" "sha256:" "$(crictl pull "$busybox" 2>&1)"
  write_pod limits
  pod=$(crictl runp "$bed_scratch/pod.json")
  need runp "$pod"
  container limited "$busybox" '"command": ["sleep", "1000000"]' \
    '"cpu_period": 100000, "cpu_quota": 50000, "cpu_shares": 512,
     "memory_limit_in_bytes": 67108864, "cpuset_cpus": "2-3",
     "cpuset_mems": "1"'
  id=$(create limited "$pod")
  need create "$id"
  check start "$id" "$(crictl start "$id")"
  leaf=$(bed_leaf "$id")
  need "the container's cgroup" "$leaf"
  check_match "the cgroup lies in the pod's slice" "/$bed_cgroup_parent/" \
    "$leaf"
}

# The profile that nobody asked for, and that it bites: writing 1 there would
# change what the console shows.
measure_armour() {
  bed_step "AppArmor"
  check "the profile of the first process" "pinion-default (enforce)" \
    "$(crictl exec -s "$id" cat /proc/1/attr/current)"
  check "and of an exec" "pinion-default (enforce)" \
    "$(crictl exec -s "$id" cat /proc/self/attr/current)"
  check "as inspect says" pinion-default \
    "$(crictl inspect "$id" | get info apparmorProfile)"
  check "and info" '{"enabled": true, "error": ""}' \
    "$(crictl info | get apparmor)"
  check_match "the node's switches" "Permission denied" \
    "$(crictl exec -s "$id" sh -c 'echo 1 >/proc/sysrq-trigger' 2>&1)"
  check "its own files and processes" ok "$(crictl exec -s "$id" sh -c \
    'echo ok >/tmp/x && kill -0 1 && cat /tmp/x')"
}

# Each metric against the file it comes from, in a container that has used its
# limits; then the limits themselves, changed.
measure_limited() {
  bed_step "metrics, stats and update against the kernel's files"
  crictl exec -s "$id" sh -c \
    'dd if=/dev/zero of=/big bs=1M count=8 conv=fsync 2>/dev/null
     i=0; while [ $i -lt 10000 ]; do i=$((i+1)); done' >/dev/null
  eventually 10 "metrics that differ from the files" "" differing_metrics
  local stats
  stats=$(crictl stats -o json --id "$id")
  check "stats' memory in use" yes "$([[ $(get stats 0 memory usageBytes value \
    <<<"$stats") -gt 0 ]] && echo yes)"
  check_match "stats' memory left" '^[1-9][0-9]*$' \
    "$(get stats 0 memory availableBytes value <<<"$stats")"
  # A kernel may have PSI and leave it off (psi=1).
  if [[ -r /proc/pressure/memory ]]; then
    check_match "stats' memory pressure" '^[0-9]+$' \
      "$(get stats 0 memory psi Some Total <<<"$stats")"
  fi
  check_match "statsp's memory in use" '^[1-9][0-9]*$' "$(crictl statsp -o json \
    --id "$pod" | get stats 0 linux memory usageBytes value)"

  check "update" "$id" "$(crictl update --cpu-quota 40000 --memory 50331648 "$id")"
  check "cpu.max after the update" "40000 100000" "$(on_disk cpu.max)"
  check "memory.max after the update" 50331648 "$(on_disk memory.max)"
  check "cpuset.cpus, which was not updated" 2-3 "$(on_disk cpuset.cpus)"
  check "inspect after the update" 40000 \
    "$(crictl inspect "$id" | get status resources linux cpuQuota)"
  # The CPUs are not to be had: the quota before them must not stay.
  check_match "an update that fails half-way" "cpuset" \
    "$(crictl update --cpu-quota 30000 --cpuset-cpus 64 "$id" 2>&1)"
  check "cpu.max is as before" "40000 100000" "$(on_disk cpu.max)"
  check "inspect too" 40000 \
    "$(crictl inspect "$id" | get status resources linux cpuQuota)"
  check "update back" "$id" "$(crictl update --cpu-quota 50000 --memory 67108864 "$id")"
}

# Again if one went up and down between two looks at its file.
differing_metrics() {
  python3 "$tree/tests/conformance/metric_files.py" "$id" "$leaf" \
    "$bed_tools/crictl" --config "$bed_scratch/crictl.yaml" 2>&1
}

shake_systemd() {
  local scope
  scope=$(basename "$(dirname "$leaf")")
  check "the pod's unit is active" active "$(systemctl is-active "$scope")"
  check_limits "at first"
  check "daemon-reload" 0 "$(systemctl daemon-reload; echo $?)"
  check_limits "after daemon-reload"
  check "daemon-reexec" 0 "$(systemctl daemon-reexec; echo $?)"
  bed_await_systemd
  check_limits "after daemon-reexec"
  check "set-property" 0 \
    "$(systemctl set-property --runtime "$scope" CPUWeight=50; echo $?)"
  check_limits "after set-property on the scope"
  check "it still runs" CONTAINER_RUNNING "$(state_of "$id")"

  check_match "rmp" "$pod" "$(crictl rmp --force "$pod" 2>&1)"
  eventually 10 "the pod's unit is gone" inactive systemctl is-active "$scope"
  check "its cgroup is gone" no "$([[ -d $leaf ]] && echo yes || echo no)"
  check "failed units" "" "$(systemctl list-units --failed --plain -q)"
}

# properties_of POD: what systemd says of the pod's unit, but for what differs
# between any two units: names, ids, times, counters.
properties_of() {
  systemctl show "pinion-$1.scope" | grep -vE \
    '^(Id|Names|Description|InvocationID|ControlGroup|ControlGroupId|FragmentPath|DropInPaths|MemoryCurrent|MemoryAvailable|CPUUsageNSec|TasksCurrent|IO[A-Z][a-z]+(Bytes|Operations)|IP[A-Z][a-z]+(Bytes|Packets)|[A-Za-z]*Timestamp[A-Za-z]*|Effective[A-Za-z]+)='
}

# What a user writes into a pod's annotations and names reaches no property of
# its unit: it has those of a pod that says nothing, also after systemd has
# read its files again.
tempt_systemd() {
  bed_step "annotations that are called like unit properties"
  write_pod plain
  local plain hostile before
  plain=$(crictl runp "$bed_scratch/pod.json")
  need "runp plain" "$plain"
  write_pod hostile
  python3 - "$bed_scratch/pod.json" <<'PYTHON'
import json, sys
path = sys.argv[1]
pod = json.load(open(path))
lines = "yes\n[Scope]\nMemoryMax=1M\nCPUQuota=1%\n\\"
for name, value in (("MemoryMax", "1048576"), ("Delegate", "no"),
                    ("CPUQuotaPerSecUSec", "1"), ("Slice", "system.slice"),
                    ("KillMode", "none"), ("TasksMax", "1"),
                    ("AllowedCPUs", "0"), ("Description", "mine")):
    for prefix in ("", "org.systemd.property.", "systemd.io/",
                   "pinion.dev/unit."):
        pod["annotations"][prefix + name] = value
pod["annotations"]["systemd"] = lines
pod["metadata"]["name"] = "hostile %n \\"
pod["labels"]["org.systemd.property.MemoryMax"] = lines
json.dump(pod, open(path, "w"))
PYTHON
  hostile=$(crictl runp "$bed_scratch/pod.json")
  need "runp hostile" "$hostile"
  check_match "properties that are compared" '^([5-9]|[1-9][0-9])[0-9]$' \
    "$(properties_of "$plain" | wc -l)"
  check "properties that differ" "" \
    "$(diff <(properties_of "$plain") <(properties_of "$hostile"))"
  check "the unit's description" "pinion pod bed/hostile ?n ?" \
    "$(systemctl show -p Description --value "pinion-$hostile.scope")"
  before=$(properties_of "$hostile")
  systemctl daemon-reload
  check "properties that daemon-reload changes" "" \
    "$(diff <(echo "$before") <(properties_of "$hostile"))"
  sed -i 's/"name": "hostile[^"]*"/"name": "a\\nMemoryMax=1M"/' \
    "$bed_scratch/pod.json"
  check_match "a name of two lines" "InvalidArgument" \
    "$(crictl runp "$bed_scratch/pod.json" 2>&1)"
  crictl rmp --force "$plain" "$hostile" >/dev/null
}

bed_start
tempt_systemd
start_limited
measure_armour
measure_limited
shake_systemd
bed_failed=$((bed_failed + (roundtrip == 0 ? 0 : 1)))
bed_finish
