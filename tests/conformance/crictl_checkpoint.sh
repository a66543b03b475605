#!/bin/bash
# crictl checkpoint, with Debian's criu: the archive and what is in it, the
# container that runs on, another one that goes on from it, what is refused. Where criu is missing or cannot work
# with the kernel, only what the daemon says of that. Natively in a network
# namespace of its own; in the VM as it is.
#
# Exit code 0, 1, or 77 if skipped; the last line counts.
set -uo pipefail

if [[ -z ${PINION_VM:-} && ${1:-} != --in-netns ]]; then
  # In a PID namespace too: whatever it starts ends with it, however it ends.
  exec unshare --net --pid --mount-proc --kill-child -- "$0" --in-netns
fi
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/conformance/bed.sh
source "$here/bed.sh"

# A counter in a file and in the log, with a file of the image's taken away and
# one in every directory of its own.
# shellcheck disable=SC2016  # The container's shell expands it.
readonly counter='echo begun >/file; rm /etc/passwd; mkdir /new; touch /new/f
  ln /new/f /new/g; i=0
  while :; do i=$((i+1)); echo $i; echo $i >/count; sleep 0.2; done'

# last_line CONTAINER: of its log.
last_line() { crictl logs --tail 1 "$1" 2>/dev/null; }

# runs_on WHAT CONTAINER: its counter grows.
runs_on() {
  local before after deadline=$((SECONDS + 20 * bed_patience))
  before=$(last_line "$2")
  while after=$(last_line "$2"); ((after <= before && SECONDS < deadline)); do
    sleep 0.1
  done
  check "$1" yes "$( ((after > before)) && echo yes)"
}

# start NAME [MORE-JSON]: a container of the pod, its id in `id`.
start() {
  container "$1" "$busybox" "\"command\": [\"sh\", \"-c\", \"${counter//$'\n'/;}\"]${2:+, $2}"
  id=$(create "$1" "$pod")
  need "create $1" "$id"
  check "start $1" "$id" "$(crictl start "$id")"
}
counts() { [[ $(last_line "$1") -ge 2 ]] && echo yes; }

start_counting() {
  start "$@"
  eventually 20 "$1 counts" yes counts "$id"
}

listing() { tar tf "$1" 2>/dev/null | sort | tr '\n' ' '; }

take() {
  bed_step "a checkpoint of a container that runs on"
  start_counting count
  local archive=$bed_scratch/count.tar
  check "checkpoint" "$id" "$(crictl checkpoint --export="$archive" "$id" 2>&1)"
  runs_on "the container runs on" "$id"
  check "mode and owner" "600 0:0" "$(stat -c '%a %u:%g' "$archive")"
  check "what is beside it" count.tar \
    "$(find "$bed_scratch" -maxdepth 1 -name '*count.tar*' -printf '%P')"
  local names name
  names=$(listing "$archive")
  for name in config.dump spec.dump dump.log rootfs-diff.tar \
    checkpoint/descriptors.json checkpoint/inventory.img checkpoint/core-1.img \
    checkpoint/pstree.img checkpoint/mm-1.img; do
    check "the archive has $name" yes \
      "$([[ " $names " == *" $name "* ]] && echo yes)"
  done
  check "config.dump's id" "$id" "$(tar xOf "$archive" config.dump | get id)"
  check "config.dump's image" "$busybox" \
    "$(tar xOf "$archive" config.dump | get rootfsImageName)"
  check "spec.dump's command" sh \
    "$(tar xOf "$archive" spec.dump | get process args 0)"
  tar xOf "$archive" rootfs-diff.tar >"$bed_scratch/diff.tar"
  names=$(listing "$bed_scratch/diff.tar")
  for name in ./file ./etc/.wh.passwd ./new/ ./new/f ./new/g; do
    check "rootfs-diff.tar has $name" yes \
      "$([[ " $names " == *" $name "* ]] && echo yes)"
  done
  check "a second one replaces it" "$id" \
    "$(crictl checkpoint --export="$archive" "$id" 2>&1)"
  check "nothing is left below the root" "" \
    "$(ls "$bed_scratch/root/checkpoints")"
}

refuse() {
  bed_step "what is refused, and that the container runs on"
  check_match "no directory" "ENOENT" \
    "$(crictl checkpoint --export=/nowhere/a.tar "$id" 2>&1)"
  check_match "a relative path" "location" \
    "$(crictl checkpoint --export=a.tar "$id" 2>&1)"
  runs_on "it runs on after a failure" "$id"
  check "nothing is left below the root" "" \
    "$(ls "$bed_scratch/root/checkpoints")"
  local counting=$id
  start terminal '"tty": true'
  check_match "a terminal" "Unimplemented.*terminal" \
    "$(crictl checkpoint --export="$bed_scratch/t.tar" "$id" 2>&1)"
  crictl stop --timeout 0 "$id" >/dev/null
  check_match "a container that has ended" "FailedPrecondition.*not running" \
    "$(crictl checkpoint --export="$bed_scratch/t.tar" "$id" 2>&1)"
  check "no archive" no "$([[ -e $bed_scratch/t.tar ]] && echo yes || echo no)"
  id=$counting
}

# go_on NAME ARCHIVE [MORE-JSON]: a container from the archive, in `again_pod`.
go_on() {
  container "$1" "$2" "${3:-}"
  again=$(crictl create --no-pull "$again_pod" "$bed_scratch/$1.json" \
    "$bed_scratch/pod.json" 2>&1)
}

restore() {
  bed_step "a container that goes on from the checkpoint, in another pod"
  local archive=$bed_scratch/count.tar count
  count=$(tar xOf "$archive" rootfs-diff.tar | tar xOf - ./count 2>/dev/null)
  write_pod again
  again_pod=$(crictl runp "$bed_scratch/pod.json")
  need "runp again" "$again_pod"
  go_on again "$archive"
  check_match "create" '^[0-9a-f]{64}$' "$again"
  check "its image" "$(crictl inspect "$id" | get status imageId)" \
    "$(crictl inspect "$again" | get status imageId)"
  check "start" "$again" "$(crictl start "$again" 2>&1)"
  check "state" CONTAINER_RUNNING "$(state_of "$again")"
  local first
  first=$(crictl logs "$again" | head -n 1)
  check "it goes on where it was ($count)" yes \
    "$( ((first >= count && first <= count + 3)) && echo yes || echo "$first")"
  runs_on "it runs" "$again"
  runs_on "the first one, too" "$id"
  check "its own files" begun "$(crictl exec -s "$again" cat /file)"
  check "a hard link" 2 "$(crictl exec -s "$again" stat -c %h /new/f)"
  check "a file of the image's that it removed" no \
    "$(crictl exec -s "$again" sh -c 'test -e /etc/passwd && echo yes || echo no')"
  check "the pod's hosts file is the new pod's" again-host \
    "$(crictl exec -s "$again" sh -c 'cat /etc/hostname')"
  check "an exec sees the restored process" yes "$(crictl exec -s "$again" \
    sh -c 'grep -q begun /proc/1/cmdline && echo yes')"
  check "the root of its cgroup namespace" 0::/ \
    "$(crictl exec -s "$again" grep -o '0::/.*' /proc/1/cgroup)"
  check_match "its cgroup" "$again" "$(cat "/proc/$(bed_init_pid "$again")/cgroup")"
  check "images left" "" \
    "$(find "$bed_scratch/root/containers/$again" -maxdepth 1 -name checkpoint)"
  check "a checkpoint of the restored one" "$again" \
    "$(crictl checkpoint --export="$bed_scratch/second.tar" "$again" 2>&1)"
  # Across the daemon's death: the monitor is its parent.
  bed_end_piniond KILL
  bed_piniond
  runs_on "it outlives the daemon" "$again"
  check "stop" "$again" "$(crictl stop --timeout 1 "$again")"
  check "exit code of what was killed" 137 \
    "$(crictl inspect "$again" | get status exitCode)"
  go_on third "$bed_scratch/second.tar"
  check "start from the second checkpoint" "$again" "$(crictl start "$again" 2>&1)"
  runs_on "it runs" "$again"
}

refuse_restore() {
  bed_step "what no container can go on from"
  local archive=$bed_scratch/count.tar
  go_on mounts "$archive" \
    "\"mounts\": [{\"host_path\": \"$bed_scratch/logs\", \"container_path\": \"/data\"}]"
  check_match "another mount" "InvalidArgument.*mounts had no /data" "$again"
  go_on stdin "$archive" '"stdin": true'
  check_match "another stdin" "InvalidArgument.*stdin was not open" "$again"
  go_on missing "$bed_scratch/nothing.tar"
  check_match "no such archive" "NotFound" "$again"
  cp "$archive" "$bed_scratch/foreign.tar"
  chmod 0666 "$bed_scratch/foreign.tar"
  go_on foreign "$bed_scratch/foreign.tar"
  check_match "an archive that others may write" "PermissionDenied" "$again"
  head -c 100000 "$archive" >"$bed_scratch/cut.tar"
  go_on cut "$bed_scratch/cut.tar"
  check_match "an archive that is cut off" "InvalidArgument" "$again"
  # Whole for pinion, but not for criu.
  mkdir "$bed_scratch/broken"
  tar xf "$archive" -C "$bed_scratch/broken"
  : >"$bed_scratch/broken/checkpoint/core-1.img"
  (cd "$bed_scratch/broken" && tar cf ../broken.tar -- *)
  chmod 0600 "$bed_scratch/broken.tar"
  go_on broken "$bed_scratch/broken.tar"
  check_match "create of a broken one" '^[0-9a-f]{64}$' "$again"
  check_match "criu's own words at the start" "criu restore: Error" \
    "$(crictl start "$again" 2>&1)"
  check "its state" CONTAINER_EXITED "$(state_of "$again")"
  check "reason" StartError "$(crictl inspect "$again" | get status reason)"
  check "nothing of it runs" "" "$(bed_init_pid "$again")"
  check "containers that are left" 3 "$(crictl ps -aq --pod "$again_pod" | wc -l)"
}

ip link set lo up
bed_start
check_match "pull" "sha256:" "$(crictl pull "$busybox" 2>&1)"
write_pod checkpoint
pod=$(crictl runp "$bed_scratch/pod.json")
need runp "$pod"
# In the VM it must work: no other branch than the last.
[[ -z ${PINION_VM:-} ]] ||
  check "criu works here" 0 "$(criu check >/dev/null 2>&1; echo $?)"
if ! command -v criu >/dev/null; then
  start_counting count
  check_match "without criu" "Unimplemented.*apt-get install criu" \
    "$(crictl checkpoint --export="$bed_scratch/a.tar" "$id" 2>&1)"
elif ! criu check >/dev/null 2>&1; then
  start_counting count
  check_match "with a criu that cannot work with this kernel" \
    "FailedPrecondition.*criu dump: Error" \
    "$(crictl checkpoint --export="$bed_scratch/a.tar" "$id" 2>&1)"
  runs_on "it runs on" "$id"
  check "no archive" no "$([[ -e $bed_scratch/a.tar ]] && echo yes || echo no)"
else
  take
  restore
  refuse_restore
  refuse
fi
crictl rmp --all --force >/dev/null 2>&1
crictl rmi --all >/dev/null 2>&1
bed_finish
