#!/bin/bash
# cgroups under systemd: the driver against the real manager (reload, re-exec,
# dbus restarted or hanging, stuck jobs, 50 pods at once), what pods cost PID 1,
# limits with every controller, and by what processes get; and what is tested
# natively once more, on this kernel.
set -uo pipefail
tree=$(cd "$(dirname "$0")/../../.." && pwd)
status=0
passed=0
failed=0
for name in cgroup_vm_tests cgroup_itests cgroup_tests; do
  "$tree/build/dev/tests/$name" | tee "$RESULTS/$name.txt" || status=1
  passed=$((passed + $(grep -c '^\[       OK \]' "$RESULTS/$name.txt")))
  failed=$((failed + $(grep -c '^\[  FAILED  \] .*(.* ms)$' \
    "$RESULTS/$name.txt")))
done
echo "$passed passed, $failed failed"
exit $status
