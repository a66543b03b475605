#!/bin/bash
# Pod networks and IPAM: what is tested natively once more, on Debian's kernel
# (older than the native one, and with dummy devices).
set -uo pipefail
tree=$(cd "$(dirname "$0")/../../.." && pwd)
status=0
passed=0
failed=0
for name in network_itest network_tests ipam_tests; do
  "$tree/build/dev/tests/$name" 2>"$RESULTS/$name.log" |
    tee "$RESULTS/$name.txt" || status=1
  passed=$((passed + $(grep -c '^\[       OK \]' "$RESULTS/$name.txt")))
  failed=$((failed + $(grep -c '^\[  FAILED  \] .*(.* ms)$' \
    "$RESULTS/$name.txt")))
done
echo "$passed passed, $failed failed"
exit $status
