#!/bin/bash
# Limits do what they say, and stay: what memory.high, memory.max and
# protection do; then pods under load, while systemd is reloaded and
# re-executed, its bus restarted, and somebody writes to the files.
#
#   tests/vm/run drift [ROUNDS [PODS]]
#
# or PINION_DRIFT_ROUNDS and PINION_DRIFT_PODS (inside). What was measured:
# docs/drift.md.
set -uo pipefail
tree=$(cd "$(dirname "$0")/../../.." && pwd)
rounds=${1:-${PINION_DRIFT_ROUNDS:-8}}
pods=${2:-${PINION_DRIFT_PODS:-6}}

# shellcheck source=tests/conformance/bed.sh
source "$tree/tests/conformance/bed.sh"

readonly mib=1048576
RANDOM=20261122  # the same foreign writes every time

metric() {  # the sum over the labels of a metric
  exec 3<>/dev/tcp/127.0.0.1/9469
  printf 'GET /metrics HTTP/1.0\r\n\r\n' >&3
  awk -v name="$1" '$1 ~ "^" name "({|$)" { sum += $2 } END { print sum + 0 }' <&3
  exec 3>&-
}

repairs_by_file() {
  exec 3<>/dev/tcp/127.0.0.1/9469
  printf 'GET /metrics HTTP/1.0\r\n\r\n' >&3
  sed -n 's/^pinion_cgroup_drift_repairs_total{file="\(.*\)"} /\1 /p' <&3
  exec 3>&-
}

start_in() {  # start_in POD NAME: creates and starts a container, prints its id
  local made
  made=$(create "$2" "$1")
  crictl start "$made" >/dev/null && echo "$made"
}

at_high() {  # at_high CONTAINER LEAF
  crictl exec -s "$1" sh -c 'cat /big >/dev/null' >/dev/null
  [[ $(<"$2/memory.current") -le $((66 * mib)) ]] && echo yes
}

# What the issue asks of memory limits, through the CRI, in one pod.
memory_limits() {
  bed_step "memory.high holds back, memory.max kills, and only whom it concerns"
  write_pod memory
  local pod held back bystander killed
  pod=$(crictl runp "$bed_scratch/pod.json")
  need runp "$pod"
  container held "$busybox" '"command": ["sleep", "1000000"]' \
    "\"unified\": {\"memory.high\": \"$((64 * mib))\"}"
  held=$(start_in "$pod" held)
  need "a container with memory.high" "$held"
  container bystander "$busybox" '"command": ["sleep", "1000000"]' \
    "\"unified\": {\"memory.min\": \"$((8 * mib))\"}"
  bystander=$(start_in "$pod" bystander)
  need "a container with memory.min" "$bystander"
  back=$(bed_leaf "$held")
  check "80 MiB of file cache are written and read" ok "$(crictl exec -s \
    "$held" sh -c 'dd if=/dev/zero of=/big bs=1M count=80 conv=fsync \
      2>/dev/null && cat /big >/dev/null && echo ok')"
  # Read again where reclaim gave up: only who takes memory reclaims.
  eventually 10 "memory.current stays at memory.high" yes at_high "$held" "$back"
  check_match "it was held back" "high [1-9]" "$(<"$back/memory.events")"
  check_match "and not killed" "oom_kill 0" "$(<"$back/memory.events")"
  check "it still runs" CONTAINER_RUNNING "$(state_of "$held")"

  container killed "$busybox" \
    '"command": ["dd", "if=/dev/zero", "of=/dev/null", "bs=100M", "count=1"]' \
    "\"memory_limit_in_bytes\": $((64 * mib)),
     \"memory_swap_limit_in_bytes\": $((64 * mib))"
  killed=$(start_in "$pod" killed)
  need "a container that wants too much" "$killed"
  eventually 20 "it ends" CONTAINER_EXITED state_of "$killed"
  check "its reason" OOMKilled "$(crictl inspect "$killed" | get status reason)"
  check "its exit code" 137 "$(crictl inspect "$killed" | get status exitCode)"
  eventually 10 "OOM kills counted" 1 metric pinion_container_oom_kills_total
  check "its neighbour runs" CONTAINER_RUNNING "$(state_of "$held")"
  check "and the other" CONTAINER_RUNNING "$(state_of "$bystander")"
  check "the pod is promised what its containers are" $((8 * mib)) \
    "$(<"$back/../memory.min")"
  check_match "rmp" "$pod" "$(crictl rmp --force "$pod" 2>&1)"
}

# Each counts and reads for a moment every four seconds.
make_pod() {
  local i=$1
  sed "s/\"load\(-uid\|-host\|\)\"/\"load$i\1\"/g" "$bed_scratch/pod.json" \
    >"$bed_scratch/pod$i.json"
  # shellcheck disable=SC2016  # The container's shell counts.
  container "load$i" "$busybox" '"command": ["sh", "-c",
      "while :; do i=0; while [ $i -lt 2000 ]; do i=$((i+1)); done; cat /bin/busybox >/tmp/x; sleep 4; done"]' \
    "\"cpu_period\": 100000, \"cpu_quota\": 20000, \"cpu_shares\": $((100 + i)),
     \"memory_limit_in_bytes\": $((64 * mib)), \"cpuset_cpus\": \"$((i % 4))\",
     \"cpuset_mems\": \"$((i % 4 / 2))\",
     \"unified\": {\"memory.high\": \"$((48 * mib))\", \"pids.max\": \"64\",
                   \"memory.low\": \"$((4 * mib))\",
                   \"memory.oom.group\": \"1\"}"
  crictl run --no-pull "$bed_scratch/load$i.json" "$bed_scratch/pod$i.json" \
    >/dev/null 2>>"$bed_scratch/run.log"
}

readonly files=(cpu.idle cpu.max cpu.max.burst cpu.weight cpuset.cpus
  cpuset.mems cpuset.cpus.partition hugetlb.2MB.max io.max io.latency io.weight
  memory.high memory.low memory.max memory.min memory.oom.group
  memory.swap.high memory.swap.max memory.zswap.max misc.max pids.max rdma.max)

limit_files() {  # every limit file of the pods' cgroups, with what it says
  local -a names=(-false)
  local file
  for file in "${files[@]}"; do names+=(-o -name "$file"); done
  find "${scopes[@]}" \( "${names[@]}" \) -exec grep -H '' {} + | sort
}

first_processes() {
  local leaf
  for leaf in "${leaves[@]}"; do head -n 1 "$leaf/cgroup.procs"; done
}

# shellcheck disable=SC2034  # By name, in foreign_write.
readonly -A wrong_leaf=([memory.max]=max [memory.high]=max [memory.low]=0
  [memory.min]=1M [memory.oom.group]=0 [memory.swap.max]=0 [pids.max]=max
  [cpu.max]="max 50000" [cpu.weight]=7 [cpu.idle]=1 [cpuset.cpus]=0-3
  [cpuset.mems]=0-1)
# shellcheck disable=SC2034
readonly -A wrong_scope=([memory.max]=2G [memory.high]=1G [memory.low]=0
  [memory.min]=1M [pids.max]=1000 [cpu.max]="90000 100000" [cpu.weight]=50
  [cpu.idle]=1)

foreign=0
slowest=0
total_ms=0
# One file of one cgroup is changed; how long until it is right again?
foreign_write() {
  local -n wrong=$1
  local dir=$2
  local -a names=("${!wrong[@]}")
  local file=${names[RANDOM % ${#names[@]}]} right began ms limit
  limit=$(bed_limit 40 180)
  # Not what it reads now: what changed with another file may not be repaired.
  right=${rights[$dir/$file]}
  [[ $right != "${wrong[$file]}" ]] || return 0
  echo "${wrong[$file]}" >"$dir/$file" || return 0
  foreign=$((foreign + 1))
  began=${EPOCHREALTIME/./}
  until [[ $(<"$dir/$file") == "$right" ]]; do
    ms=$(((${EPOCHREALTIME/./} - began) / 1000))
    if ((ms > 1000 * limit)); then
      check "repair of $dir/$file" "$right" "$(<"$dir/$file")"
      return
    fi
    sleep 0.05
  done
  ms=$(((${EPOCHREALTIME/./} - began) / 1000))
  total_ms=$((total_ms + ms))
  ((ms <= slowest)) || slowest=$ms
}

readonly upheavals=("daemon-reload" "daemon-reexec" "restart dbus"
  "daemon-reload")
shake() {
  local round
  for ((round = 1; round <= rounds; ++round)); do
    # shellcheck disable=SC2086  # Words.
    if ! systemctl ${upheavals[round % 4]} 2>>"$bed_scratch/systemctl.log"; then
      failed_upheavals=$((failed_upheavals + 1))
    fi
    bed_await_systemd
    foreign_write wrong_leaf "${leaves[RANDOM % ${#leaves[@]}]}"
    foreign_write wrong_scope "${scopes[RANDOM % ${#scopes[@]}]}"
    # And one that nobody waits for.
    echo max >"${leaves[RANDOM % ${#leaves[@]}]}/memory.high"
    if ((round % 50 == 0)); then
      echo "round $round: $SECONDS s, $foreign foreign writes"
    fi
  done
}

drift() {
  bed_step "$pods pods under load, $rounds rounds"
  local i began before_files before_pids failed_upheavals=0
  write_pod load
  began=$SECONDS
  for ((i = 0; i < pods; ++i)); do
    make_pod "$i" &
    ((i < 3)) || wait -n
  done
  # shellcheck disable=SC2046  # One word each.
  wait $(jobs -p | grep -vx "$bed_daemon")
  mapfile -t leaves < <(crictl ps -q | while read -r id; do bed_leaf "$id"; done)
  scopes=("${leaves[@]%/*}")
  check "containers that run" "$pods" "${#leaves[@]}"
  ((${#leaves[@]} == pods)) || cat "$bed_scratch/run.log"
  echo "made in $((SECONDS - began)) s"
  before_files=$(limit_files)
  before_pids=$(first_processes)
  local dir file
  local -A rights
  for dir in "${leaves[@]}"; do
    for file in "${!wrong_leaf[@]}"; do
      rights[$dir/$file]=$(<"$dir/$file")
    done
  done
  for dir in "${scopes[@]}"; do
    for file in "${!wrong_scope[@]}"; do
      rights[$dir/$file]=$(<"$dir/$file")
    done
  done
  echo "$(wc -l <<<"$before_files") lines of limit files"
  eventually 10 "the guard's descriptors" $((2 * pods)) count_cgroup_descriptors

  began=$SECONDS
  shake
  echo "$rounds rounds in $((SECONDS - began)) s"
  check "systemctl commands that failed" 0 "$failed_upheavals"
  eventually 60 "lines of limit files that differ" 0 count_differences
  diff <(echo "$before_files") <(limit_files) | head -n 20
  check "containers that were restarted or ended" "" \
    "$(diff <(echo "$before_pids") <(first_processes))"
  check "containers that run now" "$pods" "$(crictl ps -q | wc -l)"
  local repairs
  repairs=$(metric pinion_cgroup_drift_repairs_total)
  echo "$foreign foreign writes awaited, $repairs repairs counted, by file:"
  repairs_by_file
  echo "repaired after $((foreign ? total_ms / foreign : 0)) ms in the mean," \
    "$slowest ms at the most"
  check "every repair is counted" yes \
    "$( ((repairs >= foreign && foreign >= rounds)) && echo yes)"
  check "repairs that failed" 0 \
    "$(metric pinion_cgroup_drift_unrepaired_total)"
  echo "piniond's CPU time: $(awk '{ print ($14 + $15) / 100 }' \
    "/proc/$bed_daemon/stat") s"
  check_match "who, what, when" \
    'file=[a-z.]* was=.* should_be=.* by=.* outcome=repaired' \
    "$(grep -m 1 'a limit was changed' "$bed_scratch/piniond.log")"
  crictl rmp --all --force >/dev/null 2>&1
  check "failed units" "" "$(systemctl list-units --failed --plain -q)"
  eventually 20 "descriptors of cgroups left" 0 count_cgroup_descriptors
}

# From before_files, of drift().
count_differences() {
  diff <(echo "$before_files") <(limit_files) | grep -c '^[<>]'
}

count_cgroup_descriptors() {
  find "/proc/$bed_daemon/fd" -lname '/sys/fs/cgroup/*' | wc -l
}

bed_start
check_match "pull" "sha256:" "$(crictl pull "$busybox" 2>&1)"
memory_limits
drift
bed_finish
