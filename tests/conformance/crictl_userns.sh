#!/bin/bash
# crictl with pods that have a user namespace of their own, with the pod's
# network and with the node's: exec, attach and port-forward over SPDY and
# WebSocket, terminals, statistics, logs, and all of it again after the daemon
# was killed. Natively in namespaces of its own; in the VM as it is.
#
# Exit code 0, 1, or 77 if skipped; the last line counts.
set -uo pipefail

if [[ -z ${PINION_VM:-} && ${1:-} != --in-netns ]]; then
  exec unshare --net --pid --mount-proc --kill-child -- "$0" --in-netns
fi
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/conformance/bed.sh
source "$here/bed.sh"

# Serves on a port that needs no privilege: over the node's network a user
# namespace gives none.
readonly server=gcr.io/k8s-staging-cri-tools/hostnet-nginx-amd64:latest
readonly map="0 1966080 65536"
readonly show_map="tr -s ' ' </proc/self/uid_map | sed 's/^ //'"

# streaming COMMAND…: crictl with this round's transport, at most five
# minutes.
streaming() {
  local verb=$1
  shift
  timeout 300 "$bed_tools/crictl" --config "$bed_scratch/crictl.yaml" "$verb" \
    --transport "$transport" "$@"
}

# change FILE PYTHON: edits a configuration, `c`, with $options at hand.
change() {
  python3 - "$bed_scratch/$1" "$2" <<'PYTHON'
import json, sys
ids = [{"container_id": 0, "host_id": 1966080, "length": 65536}]
userns = {"mode": 0, "uids": ids, "gids": ids}
with open(sys.argv[1]) as file:
    c = json.load(file)
options = c["linux"]["security_context"]["namespace_options"]
exec(sys.argv[2])
with open(sys.argv[1], "w") as file:
    json.dump(c, file)
PYTHON
}

# make_pod NAME NETWORK: a pod with a web server as root and a shell as user
# 1000; their ids in `pod`, `web` and `shell`.
make_pod() {
  local mapped="options.update(userns_options=userns, network=$2)"
  write_pod "$1"
  [[ $2 == 0 ]] || change pod.json "del c['hostname']"
  change pod.json "$mapped"
  pod=$(crictl runp "$bed_scratch/pod.json")
  need "runp" "$pod"
  container web "$server"
  change web.json "$mapped"
  # shellcheck disable=SC2016  # Expanded in the container.
  container shell "$busybox" '"command": ["sh", "-c",
    "echo first; while read line; do echo got $line; done; sleep 1000"],
    "stdin": true'
  change shell.json "$mapped
c['linux']['security_context'].update(run_as_user={'value': 1000},
                                      run_as_group={'value': 2000})"
  web=$(create web "$pod")
  shell=$(create shell "$pod")
  need "create" "$shell"
  crictl start "$web" >/dev/null
  crictl start "$shell" >/dev/null
}

on_the_host() {
  awk -v key="$2:" '$1 == key { print $2 }' "/proc/$(bed_init_pid "$1")/status"
}

identity() {
  bed_step "who they are ($network)"
  check "the root's uid on the host" 1966080 "$(on_the_host "$web" Uid)"
  check "the user's uid on the host" 1967080 "$(on_the_host "$shell" Uid)"
  check "the user's gid on the host" 1968080 "$(on_the_host "$shell" Gid)"
  check "the user in the status" "1000 2000" "$(crictl inspect "$shell" |
    get status user linux | python3 -c '
import json, sys
user = json.load(sys.stdin)
print(user["uid"], user["gid"])')"
  check "exec_sync" "$map" \
    "$(crictl exec -s "$shell" sh -c "$show_map")"
}

exec_and_attach() {
  bed_step "exec and attach ($network, $transport)"
  check "exec" "1000 $map" \
    "$(streaming exec "$shell" sh -c "echo \$(id -u) \$($show_map)")"
  check "exec as root" "0 $map" \
    "$(streaming exec "$web" sh -c "echo \$(id -u) \$($show_map)")"
  check "input" "pear" "$(echo pear | streaming exec -i "$shell" cat)"
  check "stdio by name" "by name" \
    "$(streaming exec "$shell" sh -c 'echo by name >/dev/stderr' 2>&1)"
  check_match "an exit code" "exit code:? *7" \
    "$(streaming exec "$shell" sh -c 'exit 7' 2>&1)"
  local typescript
  typescript=$(printf 'tty; id -u; echo x >/dev/tty; exit 3\n' |
    timeout 300 script -qec \
      "$bed_tools/crictl --config $bed_scratch/crictl.yaml exec \
       --transport $transport -it $shell sh" /dev/null 2>&1)
  check_match "a terminal" "/dev/pts/[0-9]" "$typescript"
  check_match "its exit code" "exit code:? *3" "$typescript"
  "$bed_tools/crictl" --config "$bed_scratch/crictl.yaml" attach \
    --transport "$transport" -i "$shell" <"$bed_scratch/input" \
    >"$bed_scratch/attached" 2>/dev/null &
  local client=$!
  exec 9>"$bed_scratch/input"
  echo "$transport" >&9
  eventually 20 "attach" "got $transport" cat "$bed_scratch/attached"
  # It would not end: the container does not.
  kill -KILL "$client"
  exec 9>&-
  wait "$client" 2>/dev/null
}

port_forward() {
  bed_step "port-forward ($network, $transport)"
  "$bed_tools/crictl" --config "$bed_scratch/crictl.yaml" port-forward \
    --transport "$transport" "$pod" 18080:12003 >"$bed_scratch/forward.txt" 2>&1 &
  local client=$!
  eventually 20 "a page" 200 curl -s --noproxy '*' -o /dev/null \
    -w '%{http_code}' http://127.0.0.1:18080/
  kill -KILL "$client"
  wait "$client" 2>/dev/null
}

statistics_and_logs() {
  bed_step "statistics and logs ($network)"
  check "stats" "$shell" "$(crictl stats -o json "$shell" |
    get stats 0 attributes id)"
  check_match "their processor time" '^"?[1-9]' "$(crictl stats -o json \
    "$shell" | get stats 0 cpu usageCoreNanoSeconds value)"
  check "statsp" "$pod" "$(crictl statsp -o json --id "$pod" |
    get stats 0 attributes id)"
  check "the log" first "$(crictl logs "$shell" | head -n 1)"
}

ip link set lo up
bed_start
mkfifo "$bed_scratch/input"
crictl pull "$busybox" >/dev/null
crictl pull "$server" >/dev/null
check "the node has user namespaces" true "$(crictl info |
  get runtimeHandlers 0 features user_namespaces)"
check "also with its own network" true "$(crictl info |
  get features user_namespaces_host_network)"
for network in 0 2; do
  make_pod "mapped$network" "$network"
  identity
  for transport in spdy websocket; do
    exec_and_attach
    port_forward
  done
  statistics_and_logs
  bed_step "after the daemon was killed ($network)"
  bed_end_piniond KILL
  bed_piniond
  identity
  transport=spdy
  exec_and_attach
  port_forward
  statistics_and_logs
  crictl stop -t 0 "$shell" >/dev/null
  crictl stopp "$pod" >/dev/null
  crictl rmp "$pod" >/dev/null
done
crictl rmi --all >/dev/null 2>&1
bed_finish
