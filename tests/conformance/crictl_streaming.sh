#!/bin/bash
# crictl's exec, attach and port-forward against a piniond of its own, each
# over SPDY and over WebSocket: output, input and its end, exit codes,
# terminals, much output, a client that vanishes, what a server refuses.
# Natively in a network namespace of its own; in the VM as it is.
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

# streaming COMMAND…: crictl with this round's transport, at most five
# minutes.
streaming() {
  local verb=$1
  shift
  timeout 300 "$bed_tools/crictl" --config "$bed_scratch/crictl.yaml" "$verb" \
    --transport "$transport" "$@"
}

# in_background VERB ARGUMENT…: the same without an end, its pid in `client`.
in_background() {
  local verb=$1
  shift
  "$bed_tools/crictl" --config "$bed_scratch/crictl.yaml" "$verb" \
    --transport "$transport" "$@" >"$bed_scratch/background.txt" 2>&1 &
  client=$!
}

# code COMMAND…: runs it silently, prints the exit code.
code() {
  "$@" >/dev/null 2>&1
  echo $?
}

# The daemon's resources that a session must give back.
daemon_fds() { find "/proc/$bed_daemon/fd" -mindepth 1 2>/dev/null | wc -l; }
sessions_open() {
  curl -sS --noproxy '*' http://127.0.0.1:9469/metrics |
    awk '/^pinion_streaming_sessions\{/ { sum += $2 } END { print sum + 0 }'
}

# Processes with exactly this command line, seen from outside the container.
running() { pgrep -fxc "$1"; }

make_pod() {
  bed_step "a pod with a shell and a web server"
  crictl pull "$busybox" >/dev/null
  crictl pull "$nginx" >/dev/null
  write_pod stream
  pod=$(crictl runp "$bed_scratch/pod.json")
  need "runp" "$pod"
  container web "$nginx"
  container shell "$busybox" '"command": ["sh", "-c",
    "trap \"exit 0\" TERM; while :; do sleep 0.1; done"]'
  web=$(create web "$pod")
  shell=$(create shell "$pod")
  need "create" "$shell"
  crictl start "$web" >/dev/null
  crictl start "$shell" >/dev/null
}

exec_plain() {
  bed_step "exec ($transport)"
  check "output" hello "$(streaming exec "$shell" echo hello)"
  check "stderr is apart" "err" \
    "$(streaming exec "$shell" sh -c 'echo out; echo err >&2' 2>&1 >/dev/null)"
  check_match "an exit code" "exit code:? *7" \
    "$(streaming exec "$shell" sh -c 'exit 7' 2>&1)"
  check "success" 0 "$(code streaming exec "$shell" true)"
  check_match "a missing program" "nope" \
    "$(streaming exec "$shell" /nope 2>&1)"
  check "input, half-closed" APPLE \
    "$(printf 'pear\napple\n' |
      streaming exec -i "$shell" sh -c 'sort | head -n 1 | tr a-z A-Z')"
  check "8 MiB of input, counted" 8388608 \
    "$(head -c 8388608 /dev/zero | streaming exec -i "$shell" wc -c)"
  check "8 MiB both ways" "$(head -c 8388608 /dev/zero | sha256sum)" \
    "$(head -c 8388608 /dev/zero | streaming exec -i "$shell" cat | sha256sum)"
  check "32 MiB of output" 33554432 \
    "$(streaming exec "$shell" head -c 33554432 /dev/zero | wc -c)"
  check "input that nobody reads" 0 \
    "$(head -c 8388608 /dev/zero | code streaming exec -i "$shell" true)"
  local try began said took
  # Again if it was slow: what waits for the grandchild is so each time.
  for ((try = 0; try < 3; ++try)); do
    began=$SECONDS
    # The sleep outlasts `timeout 300`, which would give code 124.
    said=$(streaming exec "$shell" sh -c 'sleep 100000 & echo started'
      echo "code $?")
    took=$((SECONDS - began))
    if ((took < 20)) || [[ $said != *"code 0" ]]; then break; fi
  done
  check "a grandchild does not hold the session" $'started\ncode 0' "$said"
  check "and was not waited for" yes "$( ((took < 20)) && echo yes)"
}

exec_terminal() {
  bed_step "exec -it ($transport)"
  # script(1) gives crictl a terminal of 33 by 97.
  local typescript
  typescript=$(printf 'tty; stty size; exit 3\n' | timeout 300 script -qec \
    "stty rows 33 cols 97; exec $bed_tools/crictl --config \
     $bed_scratch/crictl.yaml exec --transport $transport -it $shell sh" \
    /dev/null 2>&1)
  check_match "a terminal" "/dev/pts/[0-9]" "$typescript"
  check_match "its size" "33 97" "$typescript"
  check_match "its exit code" "exit code:? *3" "$typescript"
}

vanish() {
  bed_step "a client that vanishes ($transport)"
  # Another length each time, to be told apart.
  local seconds=$((3000 + RANDOM % 1000))
  in_background exec "$shell" sleep $seconds
  eventually 20 "the process runs" 1 running "sleep $seconds"
  kill -KILL "$client"
  wait "$client" 2>/dev/null
  eventually 20 "the process is ended" 0 running "sleep $seconds"
  eventually 20 "no session is left" 0 sessions_open
}

# Descriptors of the monitors, which have theirs from the daemon.
monitor_fds() {
  local pid
  for pid in $(pgrep -x pinion-monitor); do
    find "/proc/$pid/fd" -mindepth 1 2>/dev/null
  done | wc -l
}

# What there is, if it is more than that: it may have been counted with one that
# was about to be closed. None at all has a process that is gone.
daemon_fds_above() { daemon_fds | awk -v most="$1" '$1 > most || $1 == 0'; }
monitor_fds_above() { monitor_fds | awk -v most="$1" '$1 > most || $1 == 0'; }

# The daemon's once it has let go of what it still cleans up: when twenty looks
# in a row have found the same.
daemon_fds_at_rest() {
  local have='' last='' same=0 i
  for ((i = 0; i < 300 && same < 20; ++i)); do
    have=$(daemon_fds)
    if [[ $have == "$last" ]]; then ((++same)); else same=0; fi
    last=$have
    read -rt 0.1 <>"$bed_scratch/never"
  done
  echo "$have"
}

# Clients killed at any point: before the upgrade, while streams are opened,
# while bytes flow. Afterwards all is as it was.
abort_many() {
  bed_step "60 clients killed at random points ($transport)"
  local before i
  eventually 30 "the daemon's descriptors before" "" daemon_fds_above "$fds"
  before=$(monitor_fds)
  for ((i = 0; i < 60; ++i)); do
    in_background exec -i "$shell" sh -c 'yes 4711 & cat'
    read -rt "0.$(printf %03d $((RANDOM % 150)))" <>"$bed_scratch/never"
    kill -KILL "$client" 2>/dev/null
    wait "$client" 2>/dev/null
  done
  eventually 30 "no session is left" 0 sessions_open
  eventually 30 "no process is left" 0 running "yes 4711"
  eventually 30 "descriptors of the daemon" "" daemon_fds_above "$fds"
  eventually 30 "descriptors of monitors" "" monitor_fds_above "$before"
}

attach() {
  bed_step "attach ($transport)"
  # shellcheck disable=SC2016  # Expanded in the container.
  container "reader-$transport" "$busybox" '"command": ["sh", "-c",
    "while read line; do echo got $line; done; echo end"],
    "stdin": true, "stdin_once": true'
  local id
  id=$(create "reader-$transport" "$pod")
  need "create reader" "$id"
  crictl start "$id" >/dev/null
  check "attach -i until the end" $'got a\ngot b\nend' \
    "$(printf 'a\nb\n' | streaming attach -i "$id")"
  eventually 10 "the container ended with its input" CONTAINER_EXITED \
    state_of "$id"
  check_match "attach to what has ended" "not running" \
    "$(streaming attach "$id" 2>&1)"
  crictl rm "$id" >/dev/null
}

port_forward() {
  bed_step "port-forward ($transport)"
  local i
  in_background port-forward "$pod" 18080:80 18099:99
  eventually 20 "it listens" 200 curl -s --noproxy '*' -o /dev/null \
    -w '%{http_code}' http://127.0.0.1:18080/
  check_match "a page" "Welcome to nginx" \
    "$(curl -sS --noproxy '*' http://127.0.0.1:18080/)"
  local -a together=()
  for i in 1 2 3 4 5 6 7 8; do
    curl -sS --noproxy '*' -o "$bed_scratch/page-$i" http://127.0.0.1:18080/ &
    together+=($!)
  done
  wait "${together[@]}"
  check "eight at once" 1 \
    "$(sha256sum "$bed_scratch"/page-? | cut -d' ' -f1 | sort -u | wc -l)"
  check "a port where nothing listens" "" \
    "$(curl -s --noproxy '*' --max-time 10 http://127.0.0.1:18099/)"
  eventually 10 "its client is told why" 1 \
    grep -c "cannot forward port 99" "$bed_scratch/background.txt"
  kill -INT "$client" 2>/dev/null
  wait "$client" 2>/dev/null
  eventually 20 "no session is left" 0 sessions_open
}

# What is no client of ours: straight HTTP at the server's address.
refuse() {
  bed_step "what is refused"
  local url
  url=$(ss -Hltnp | sed -n "s/.* \(127.0.0.1:[0-9]*\) .*pid=$bed_daemon,.*/\1/p" |
    grep -v :9469)
  need "the server's address" "$url"
  local ask=(curl -s --noproxy '*' -o /dev/null -w '%{http_code}')
  check "an unknown token" 404 "$("${ask[@]}" "http://$url/exec/$(printf '0%.0s' {1..32})")"
  check "no token" 404 "$("${ask[@]}" "http://$url/")"
  check "another origin" 403 \
    "$("${ask[@]}" -H 'Origin: http://evil.example' "http://$url/exec/x")"
  check "a body" 400 "$("${ask[@]}" -d x=y "http://$url/exec/x")"
}

ip link set lo up
bed_start
make_pod
mkfifo "$bed_scratch/never"
# Warm: what is made once stays.
transport=spdy
streaming exec "$shell" true
fds=$(daemon_fds_at_rest)
for transport in spdy websocket; do
  exec_plain
  exec_terminal
  vanish
  abort_many
  attach
  port_forward
done
refuse
eventually 20 "the daemon's descriptors are as before" "" daemon_fds_above "$fds"
crictl rmp --all --force >/dev/null 2>&1
crictl rmi --all >/dev/null 2>&1
bed_finish
