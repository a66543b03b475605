#!/bin/bash
# The whole crictl round trip against a piniond of its own: info pull images
# runp create start ps inspect logs exec stats statsp metricsp update events stop
# rm stopp rmp rmi, with what each one says checked. Natively in a network namespace of its own (nothing here
# touches this machine's network); in the VM as it is (tests/vm/run crictl).
# With `cni` pods get their network from the plugins that Debian packages.
#
# Exit code 0, 1, or 77 if skipped; the last line counts.
set -uo pipefail

if [[ -z ${PINION_VM:-} && ${1:-} != --in-netns ]]; then
  # In a PID namespace too: whatever it starts ends with it, however it ends.
  exec unshare --net --pid --mount-proc --kill-child -- "$0" --in-netns "$@"
fi
[[ ${1:-} != --in-netns ]] || shift
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/conformance/bed.sh
source "$here/bed.sh"

readonly registry=registry.k8s.io
readonly layered=$registry/pinion-test/layered:1
readonly settings=$registry/pinion-test/settings:1

pull_images() {
  bed_step "info, version, pull, images"
  check_match "version" "RuntimeApiVersion: +v1" "$(crictl version)"
  local info
  info=$(crictl info)
  check "RuntimeReady" RuntimeReady "$(get status conditions 0 type <<<"$info")"
  check "RuntimeReady is" true "$(get status conditions 0 status <<<"$info")"
  check "NetworkReady" NetworkReady "$(get status conditions 1 type <<<"$info")"
  check "NetworkReady is" true "$(get status conditions 1 status <<<"$info")"

  local image
  for image in "$busybox" "$nginx" "$layered" "$settings" \
    $registry/pinion-test/{zstd,plain,mixed,schema2,platforms-schema2}:1; do
    check_match "pull $image" "sha256:[0-9a-f]{64}" "$(crictl pull "$image" 2>&1)"
  done
  check "pulling again gives the same id" "$(crictl pull "$busybox" 2>&1)" \
    "$(crictl pull "$busybox" 2>&1)"
  local images
  images=$(crictl images --no-trunc)
  check_match "images lists busybox" \
    "$registry/e2e-test-images/busybox +1.29-2 +sha256:[0-9a-f]{64}" "$images"
  # zstd, plain and schema2 differ on the wire only: one configuration.
  check "number of images" 7 "$(crictl images --quiet | sort -u | grep -c .)"
  check "inspecti's tag" "$busybox" \
    "$(crictl inspecti "$busybox" | get status repoTags 0)"
  check_match "inspecti of what is not there" "no such image" \
    "$(crictl inspecti $registry/no:1 2>&1)"
  check_match "pulling what does not exist fails" "not found|NotFound" \
    "$(crictl pull $registry/pinion-test/none:1 2>&1)"
  check_match "a malformed reference is refused" "fatal|error|invalid" \
    "$(crictl pull 'UPPER CASE:!' 2>&1)"
}

run_pod() {
  bed_step "runp, pods, inspectp"
  write_pod trip
  pod=$(crictl runp "$bed_scratch/pod.json")
  need "runp" "$pod"
  check_match "runp prints an id" "^[0-9a-f]+$" "$pod"
  if [[ -z ${BED_ENDPOINT:-} ]]; then
    check "runp again joins" "$pod" "$(crictl runp "$bed_scratch/pod.json")"
  fi
  check "pods lists it ready" "$pod" "$(crictl pods --state ready -q --no-trunc)"
  local status
  status=$(crictl inspectp "$pod")
  check "inspectp's state" SANDBOX_READY "$(get status state <<<"$status")"
  check "inspectp's name" trip "$(get status metadata name <<<"$status")"
  check "inspectp's annotation" "a b=c" \
    "$(get status annotations pinion.test/kept <<<"$status")"
  pod_ip=$(get status network ip <<<"$status")
  check_match "the pod's address" '^10\.88\.0\.[0-9]+$' "$pod_ip"
  check_match "an unknown handler is refused" "no-such" \
    "$(sed s/trip-uid/other-uid/ "$bed_scratch/pod.json" >"$bed_scratch/pod2.json"
      crictl runp --runtime no-such "$bed_scratch/pod2.json" 2>&1)"
}

start_containers() {
  bed_step "create, start, ps, inspect"
  container web "$nginx"
  container shell "$busybox" '"command": ["sh", "-c",
    "echo to-stdout; echo to-stderr >&2; trap \"exit 5\" TERM;
     while :; do sleep 0.1; done"],
    "envs": [{"key": "GREETING", "value": "hello"}], "working_dir": "/tmp"'
  web=$(create web "$pod")
  need "create web" "$web"
  shell=$(create shell "$pod")
  need "create shell" "$shell"
  check "the state after create" CONTAINER_CREATED "$(state_of "$shell")"
  check "start" "$web" "$(crictl start "$web")"
  check "start" "$shell" "$(crictl start "$shell")"
  check "running containers" "$(printf '%s\n' "$web" "$shell" | sort)" \
    "$(crictl ps -q --no-trunc | sort)"
  local status
  status=$(crictl inspect "$shell")
  check "inspect's state" CONTAINER_RUNNING "$(get status state <<<"$status")"
  check "inspect's image" "$busybox" "$(get status image image <<<"$status")"
  check "inspect's log path" "$bed_scratch/logs/shell.log" \
    "$(get status logPath <<<"$status")"
  check "inspect's image id" "$(crictl inspecti "$busybox" | get status id)" \
    "$(get status imageId <<<"$status")"
}

# What only pinion promises.
look_at_the_daemon() {
  bed_step "mount table and metrics"
  eventually 10 "mounts of the host that a pod makes" "" bed_mount_changes
  curl -sS --noproxy '*' http://127.0.0.1:9469/metrics \
    >"$bed_scratch/metrics.txt"
  check_match "metrics have pinion's" "pinion_[a-z_]+" \
    "$(cat "$bed_scratch/metrics.txt")"
  if command -v promtool >/dev/null; then
    check "promtool check metrics" "" \
      "$(promtool check metrics <"$bed_scratch/metrics.txt" 2>&1)"
  fi
}

read_logs() {
  bed_step "logs"
  eventually 10 "both streams" $'to-stderr\nto-stdout' sorted_logs "$shell"
  check "the log's lines" 2 "$(grep -cE \
    '^[0-9-]{10}T[0-9:]{8}\.[0-9]{1,9}(Z|[+-][0-9:]{5}) (stdout|stderr) F to-std' \
    "$bed_scratch/logs/shell.log")"
  check "logs --tail" 1 "$(crictl logs --tail 1 "$shell" 2>&1 | wc -l)"
  # As the log's rotation does it.
  mv "$bed_scratch/logs/web.log" "$bed_scratch/logs/web.log.1"
  crictl logs --reopen "$web" >/dev/null
  check "reopening makes a new log" yes \
    "$([[ -f $bed_scratch/logs/web.log ]] && echo yes)"
}

sorted_logs() { crictl logs "$1" 2>&1 | sort; }

in_shell() { crictl exec -s "$shell" "$@" 2>&1; }

run_commands() {
  bed_step "exec -s"
  # shellcheck disable=SC2016  # Expanded in the container.
  check "echo" hello "$(in_shell sh -c 'echo $GREETING')"
  check "both streams" "err out" \
    "$(in_shell sh -c 'echo out; echo err >&2' | sort | xargs)"
  check "the working directory" /tmp "$(in_shell pwd)"
  check "the host name" trip-host "$(in_shell hostname)"
  check "PID 1 is the command" sh "$(in_shell cat /proc/1/comm)"
  check "resolv.conf" "nameserver 10.96.0.10 options ndots:5 search svc.local" \
    "$(in_shell cat /etc/resolv.conf | sort | xargs)"
  check_match "an exit code" "exit(ed with| code:?| status:?)? *7" \
    "$(in_shell sh -c 'exit 7')"
  check_match "a missing program" "nope" "$(in_shell /nope)"
  check_match "a time-out" "[Dd]eadline|timed out|timeout" \
    "$(crictl exec -s --timeout 1 "$shell" sleep 61 2>&1)"
  eventually 10 "processes of what timed out" 0 \
    in_shell sh -c 'ps | grep -c "[s]leep 61"; true'
  check "/proc/keys is masked" 0 "$(in_shell sh -c 'wc -c </proc/keys')"
  check_match "/proc/sys is read-only" "[Rr]ead-only" \
    "$(in_shell sh -c 'echo x >/proc/sys/kernel/hostname')"
}

# shows TEXT COMMAND…: "yes" if its output has the text.
shows() { [[ $("${@:2}" 2>&1) == *"$1"* ]] && echo yes; }

reach() {
  bed_step "the network"
  check "the pod's interface has its address" yes \
    "$(in_shell ip -4 addr show dev eth0 | grep "inet $pod_ip/" >/dev/null &&
      echo yes)"
  # The server may still be about to listen; once it does, one look each.
  eventually 20 "a container reaches another by loopback" yes \
    shows "Welcome to nginx" in_shell timeout 10 wget -qO- http://127.0.0.1/
  check_match "the host reaches the pod" "Welcome to nginx" \
    "$(curl -sS --noproxy '*' --max-time 60 "http://$pod_ip/" 2>&1)"
  local host_ip
  host_ip=$(ip -4 route get "$pod_ip" | sed -n 's/.* src \([0-9.]*\).*/\1/p')
  need "the host's address towards the pod" "$host_ip"
  (cd "$bed_scratch/logs" && exec python3 -m http.server --bind "$host_ip" \
    8099 >/dev/null 2>&1) &
  local server=$!
  eventually 20 "the host's server listens" 200 curl -s --noproxy '*' \
    -o /dev/null -w '%{http_code}' "http://$host_ip:8099/"
  check_match "the pod reaches the host" "shell.log" \
    "$(in_shell timeout 60 wget -qO- "http://$host_ip:8099/")"
  kill "$server"
  wait "$server" 2>/dev/null
}

stats_of() { crictl stats -o json "$@"; }

# What is measured; the VM's suite compares the numbers with the files.
measure() {
  bed_step "stats, statsp, metricdescs, metricsp"
  local stats metrics
  stats=$(stats_of --id "$shell")
  check "stats of one container" 1 "$(get stats <<<"$stats" | grep -o '"cpu":' | wc -l)"
  check "its name" shell "$(get stats 0 attributes metadata name <<<"$stats")"
  check_match "its CPU time" '^[1-9][0-9]+$' \
    "$(get stats 0 cpu usageCoreNanoSeconds value <<<"$stats")"
  check_match "its writable layer" '^[0-9]+$' \
    "$(get stats 0 writableLayer usedBytes value <<<"$stats")"
  check_match "the table of stats" "shell" "$(crictl stats --seconds 1)"
  stats=$(crictl statsp -o json --id "$pod")
  check "statsp names the pod" trip \
    "$(get stats 0 attributes metadata name <<<"$stats")"
  check "statsp's interface" eth0 \
    "$(get stats 0 linux network defaultInterface name <<<"$stats")"
  check_match "its processes" '^([3-9]|[1-9][0-9])$' \
    "$(get stats 0 linux process processCount value <<<"$stats")"
  [[ -z ${BED_ENDPOINT:-} ]] || return 0
  check "metric descriptors" 56 \
    "$(crictl metricdescs | grep -c '"name": "container_')"
  metrics=$(crictl metricsp)
  check_match "metricsp counts CPU time" container_cpu_usage_seconds_total \
    "$metrics"
  check_match "metricsp counts what the pod received" \
    container_network_receive_bytes_total "$metrics"
}

update() {
  bed_step "update"
  check "update" "$shell" "$(crictl update --cpu-share 512 "$shell")"
  check "inspect shows it" 512 \
    "$(crictl inspect "$shell" | get status resources linux cpuShares)"
  check_match "what create refuses is refused" "cpu_period" \
    "$(crictl update --cpu-period 5 "$shell" 2>&1)"
  check "inspect shows what was" 512 \
    "$(crictl inspect "$shell" | get status resources linux cpuShares)"
}

subscribe() {
  crictl events -o json >"$bed_scratch/events.json" 2>&1 &
  events_pid=$!
  # What happens before it is told to nobody.
  eventually 20 "the calls under way" 1 calls_under_way
}

calls_under_way() {
  curl -sS --noproxy '*' http://127.0.0.1:9469/metrics |
    awk '$1 == "pinion_cri_rpc_in_flight" { print $2 }'
}

# event_count TYPE ID
event_count() {
  python3 - "$bed_scratch/events.json" "$@" <<'PY'
import json, sys
path, kind, wanted = sys.argv[1:]
text, at, seen = open(path).read(), 0, 0
while (start := text.find("{", at)) >= 0:
    try:
        event, at = json.JSONDecoder().raw_decode(text, start)
    except ValueError:
        break
    if event.get("containerId") != wanted:
        continue
    assert event["podSandboxStatus"]["metadata"]["name"], event
    # The first value of an enumeration is left out.
    seen += event.get("containerEventType", "CONTAINER_CREATED_EVENT") == kind
print(seen)
PY
}

read_events() {
  bed_step "events"
  local kind
  for kind in CREATED STARTED STOPPED DELETED; do
    eventually 10 "$kind of the shell" 1 \
      event_count "CONTAINER_${kind}_EVENT" "$shell"
    eventually 10 "$kind of the pod" 1 \
      event_count "CONTAINER_${kind}_EVENT" "$pod"
  done
  kill "$events_pid"
  wait "$events_pid" 2>/dev/null
}

# What layers make up, seen from outside through the container's root.
compare_rootfs() {
  bed_step "the root file system of $layered"
  container layered "$layered"
  local id pid
  id=$(create layered "$pod")
  need "create layered" "$id"
  check "start" "$id" "$(crictl start "$id")"
  pid=$(bed_init_pid "$id")
  need "the container's pid" "$pid"
  local want=$bed_scratch/registry/listings/pinion-test_layered_1
  check "entries of the tree" "$(wc -l <"$want")" \
    "$(python3 "$here/walk.py" "/proc/$pid/root" "$want" |
      tee "$bed_scratch/have" | wc -l)"
  check "the tree" "" "$(diff "$want" "$bed_scratch/have" 2>&1 | head)"
  check "an extended attribute" value \
    "$(python3 -c 'import os, sys
print(os.getxattr(sys.argv[1], "user.pinion").decode())' \
      "/proc/$pid/root/xattrs/user" 2>&1)"
  crictl rm -f "$id" >/dev/null
}

# exits NAME WANT-CODE WANT-REASON: runs a container to its end.
exits() {
  local id
  id=$(create "$1" "$pod")
  need "create $1" "$id"
  crictl start "$id" >/dev/null
  eventually 15 "$1 ends" CONTAINER_EXITED state_of "$id"
  local status
  status=$(crictl inspect "$id")
  check "$1's exit code" "$2" "$(get status exitCode <<<"$status")"
  check "$1's reason" "$3" "$(get status reason <<<"$status")"
  ended=$id
}

end_containers() {
  bed_step "exit codes"
  container three "$busybox" '"command": ["sh", "-c", "exit 3"]'
  exits three 3 Error
  container fine "$busybox" '"command": ["true"]'
  exits fine 0 Completed
  container image-settings "$settings"
  exits image-settings 0 Completed
  eventually 10 "user, directory and environment of the image" \
    "hello from /work/here as 1002:1003" sorted_logs "$ended"
  container nothere "$busybox" '"command": ["/nope"]'
  local id
  id=$(create nothere "$pod")
  need "create nothere" "$id"
  check_match "a command that does not exist" "exec .*/nope.*ENOENT" \
    "$(crictl start "$id" 2>&1)"
  check_match "its status says so" "/nope.*ENOENT" \
    "$(crictl inspect "$id" | get status message)"
}

stop_and_remove() {
  bed_step "stop, rm, stopp, rmp, rmi"
  check "stop" "$shell" "$(crictl stop --timeout 200 "$shell")"
  check "the exit code of what handles TERM" 5 \
    "$(crictl inspect "$shell" | get status exitCode)"
  check "stop with no grace" "$web" "$(crictl stop --timeout 0 "$web")"
  check "the exit code of what was killed" 137 \
    "$(crictl inspect "$web" | get status exitCode)"
  check "stop again" "$web" "$(crictl stop "$web")"
  check "no container runs" "" "$(crictl ps -q)"
  check "rm" "$shell" "$(crictl rm "$shell")"
  crictl rm --all >/dev/null 2>&1
  check "no container is left" "" "$(crictl ps -a -q)"
  check_match "stopp" "$pod" "$(crictl stopp "$pod")"
  check "the pod's state" SANDBOX_NOTREADY \
    "$(crictl inspectp "$pod" | get status state)"
  check_match "stopp again" "$pod" "$(crictl stopp "$pod")"
  check_match "rmp" "$pod" "$(crictl rmp "$pod")"
  check "no pod is left" "" "$(crictl pods -q)"
  check "the pod's cgroup is gone" "" \
    "$(find "$(bed_cgroup_root)" -type d -name "*$pod*")"
  check_match "the pod does not answer" "7|28|113" \
    "$(curl -s --noproxy '*' --max-time 2 "http://$pod_ip/"; echo $?)"
  check_match "imagefsinfo" "mountpoint" "$(crictl imagefsinfo)"
  check_match "rmi" "Deleted" "$(crictl rmi "$busybox" 2>&1)"
  crictl rmi --all >/dev/null 2>&1
  check "no image is left" "" "$(crictl images -q)"
  [[ -n ${BED_ENDPOINT:-} ]] ||
    eventually 10 "files of layers left" 0 count_layer_files
}

count_layer_files() {
  find "$bed_scratch/root/layers" -mindepth 1 2>/dev/null | wc -l
}

# What the plugins keep is given back with the pods.
look_at_the_plugins() {
  bed_step "what the CNI plugins hold"
  check "addresses of host-local" "" \
    "$(find "$bed_scratch/host-local" -name '10.*')"
  check "interfaces on the bridge" "" "$(ip -o link show master pn-bed0)"
  check "rules of the pods" "" "$(nft list ruleset 2>&1 | grep 10.88.0 |
    grep -v 10.88.0.0/24)"
  check "attachments" "" "$(ls "$bed_scratch/root/cni")"
}

bed_network=${1:-macvlan}
ip link set lo up
bed_start
pull_images
[[ -n ${BED_ENDPOINT:-} ]] || subscribe
run_pod
start_containers
[[ -n ${BED_ENDPOINT:-} ]] || look_at_the_daemon
read_logs
run_commands
measure
update
reach
compare_rootfs
end_containers
stop_and_remove
[[ $bed_network != cni ]] || look_at_the_plugins
[[ -n ${BED_ENDPOINT:-} ]] || read_events
bed_finish
