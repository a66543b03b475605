#!/bin/bash
# Asserts what the test bed promises to every other suite: if this fails, no
# other suite's result means anything.
set -u

passed=0 failed=0

# check DESCRIPTION EXPECTED ACTUAL
check() {
  if [[ $2 == "$3" ]]; then
    passed=$((passed + 1))
    echo "ok   $1: $3"
  else
    failed=$((failed + 1))
    echo "FAIL $1: want '$2', have '$3'"
  fi
}

check "PID 1" systemd "$(cat /proc/1/comm)"
check "systemd's version" 252 \
  "$(systemctl --version | sed -n '1s/systemd \([0-9]*\).*/\1/p')"
check "kernel series" 6.1 "$(uname -r | cut -d. -f1,2)"
check "Debian release" 12 "$(cut -d. -f1 /etc/debian_version)"
check "D-Bus" active "$(systemctl is-active dbus.service)"
check "file system of /sys/fs/cgroup" cgroup2fs "$(stat -fc %T /sys/fs/cgroup)"
check "cgroup v1 mounts" 0 "$(awk '$3 == "cgroup"' /proc/mounts | wc -l)"
check "cgroup controllers" "cpuset cpu io memory hugetlb pids rdma misc" \
  "$(cat /sys/fs/cgroup/cgroup.controllers)"
check "AppArmor enabled" Y "$(cat /sys/module/apparmor/parameters/enabled)"
check "apparmor_parser runs" yes \
  "$(apparmor_parser --version >/dev/null 2>&1 && echo yes)"
check "CPUs" 0-3 "$(cat /sys/devices/system/cpu/online)"
check "NUMA nodes" 0-1 "$(cat /sys/devices/system/node/online)"
check "CPUs of node 0" 0-1 "$(cat /sys/devices/system/node/node0/cpulist)"
check "CPUs of node 1" 2-3 "$(cat /sys/devices/system/node/node1/cpulist)"
check "user" 0 "$(id -u)"
check "CAP_SYS_RESOURCE (a negative oom_score_adj)" yes \
  "$(bash -c 'echo -500 >/proc/self/oom_score_adj' 2>/dev/null && echo yes)"
check "network devices" lo "$(ls /sys/class/net)"
check "overlayfs" yes "$(modprobe overlay && grep -qw overlay /proc/filesystems && echo yes)"

# A netns of its own, veth and macvlan: the network tests' bricks.
netns=pn-selfcheck-$$
check "a network namespace" yes "$(ip netns add "$netns" && echo yes)"
check "macvlan in it" yes "$(
  ip -n "$netns" link add parent type veth peer name other &&
    ip -n "$netns" link add link parent name child type macvlan mode bridge &&
    echo yes)"
check "nftables" yes "$(ip netns exec "$netns" nft add table inet t && echo yes)"
ip netns del "$netns"

# What the suites need from systemd: a transient scope with a delegated
# subtree. (systemd 252 knows neither hugetlb nor rdma nor misc: it delegates the
# five below, and whoever wants more enables them on the way down himself.)
# Expanded inside the scope.
# shellcheck disable=SC2016
check "a delegated scope" "cpuset cpu io memory pids" "$(
  systemd-run --quiet --scope --unit "pn-selfcheck-$$" -p Delegate=yes \
    -- sh -c 'cat /sys/fs/cgroup$(cut -d: -f3 /proc/self/cgroup)/cgroup.controllers')"

# Every library that our binaries need is in the image.
for program in /pinion/build/bin/*; do
  [[ -f $program && -x $program ]] || continue
  check "libraries that ${program##*/} misses" "" \
    "$(ldd "$program" 2>/dev/null | awk '/not found/ { printf "%s ", $1 }')"
done

check "the result drive" yes "$(touch /results/selfcheck && echo yes)"

echo "$passed passed, $failed failed"
[[ $failed == 0 ]]
