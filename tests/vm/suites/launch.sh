#!/bin/bash
# Launching processes: what is tested natively once more, on this kernel, and
# AppArmor. (child_symbols_test looks at the build's objects, on the host.)
set -uo pipefail
tree=$(cd "$(dirname "$0")/../../.." && pwd)
cp "$tree/build/dev/tests/busybox" /usr/bin/busybox
modprobe overlay
status=0
passed=0
failed=0
for name in launch_vm_tests launch_itest launch_tests plan_tests; do
  "$tree/build/dev/tests/$name" --gtest_filter=-ChildSymbolsTest.* |
    tee "$RESULTS/$name.txt" || status=1
  passed=$((passed + $(grep -c '^\[       OK \]' "$RESULTS/$name.txt")))
  failed=$((failed + $(grep -c '^\[  FAILED  \] .*(.* ms)$' \
    "$RESULTS/$name.txt")))
done
echo "$passed passed, $failed failed"
exit $status
