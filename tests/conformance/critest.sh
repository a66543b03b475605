#!/bin/bash
# cri-tools' critest against a piniond of its own, natively in namespaces of
# its own or in the VM:
#
#   critest.sh [FOCUS [SKIP]]     regular expressions over the specs' names
#
# One spec is left out always: it pulls an image by a digest whose bytes cannot
# be had offline. The streaming specs use SPDY, or with BED_WEBSOCKET=1
# WebSocket. The whole output is in critest.log (in $RESULTS in the VM).
set -uo pipefail

if [[ -z ${PINION_VM:-} && ${1:-} != --in-netns ]]; then
  exec unshare --net --pid --mount-proc --kill-child -- "$0" --in-netns "$@"
fi
[[ ${1:-} != --in-netns ]] || shift
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/conformance/bed.sh
source "$here/bed.sh"

ip link set lo up
bed_start
endpoint=$(sed -n 's/^runtime-endpoint: //p' "$bed_scratch/crictl.yaml")
flags=(-runtime-endpoint "$endpoint" -image-endpoint "$endpoint"
  -ginkgo.no-color -ginkgo.skip
  "public image with digest should be pulled and removed${2:+|$2}")
[[ -z ${1:-} ]] || flags+=(-ginkgo.focus "$1")
[[ -z ${BED_WEBSOCKET:-} ]] || flags+=(-websocket-exec -websocket-attach
  -websocket-portforward)

# The log is kept whole; a person sees each spec that failed, and the end.
"$bed_tools/critest" "${flags[@]}" >"$bed_scratch/critest.log" 2>&1
result=$(grep -E '^(SUCCESS|FAIL)! -- ' "$bed_scratch/critest.log")
sed -n '/^Summarizing/,$p' "$bed_scratch/critest.log"
count() { sed -n "s/.* \([0-9]*\) $1.*/\1/p" <<<"$result"; }
bed_stop
echo "$(($(count Passed) + bed_passed)) passed," \
  "$(($(count Failed) + bed_failed)) failed, $(($(count Skipped))) skipped"
[[ $result == SUCCESS* && $bed_failed == 0 ]]
