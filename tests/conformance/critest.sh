#!/bin/bash
# cri-tools' critest against a piniond of its own, natively in namespaces of
# its own or in the VM:
#
#   critest.sh [--websocket] [FOCUS [SKIP]]
#       regular expressions over the specs' names; streaming uses SPDY, or
#       with --websocket WebSocket
#   critest.sh --whole
#       all specs, then those that stream once more over WebSocket
#   critest.sh --benchmark
#       critest's benchmarks; their data and a table of it
#
# One spec is left out always: it pulls an image by a digest whose bytes cannot
# be had offline. Specs are tried once. Logs and reports are in the scratch
# directory (BED_KEEP=1 keeps it), in $RESULTS in the VM.
set -uo pipefail

if [[ -z ${PINION_VM:-} && ${1:-} != --in-netns ]]; then
  exec unshare --net --pid --mount-proc --kill-child -- "$0" --in-netns "$@"
fi
[[ ${1:-} != --in-netns ]] || shift
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/conformance/bed.sh
source "$here/bed.sh"

readonly left_out="public image with digest should be pulled and removed"
readonly websocket=(-websocket-exec -websocket-attach -websocket-portforward)
skipped=0

# critest NAME FLAG…: runs it; the output in NAME.log, the report in
# NAME-report.json.
critest() {
  local name=$1 endpoint
  shift
  endpoint=$(sed -n 's/^runtime-endpoint: //p' "$bed_scratch/crictl.yaml")
  "$bed_tools/critest" -runtime-endpoint "$endpoint" \
    -image-endpoint "$endpoint" -ginkgo.no-color \
    -ginkgo.json-report "$bed_scratch/$name-report.json" "$@" \
    >"$bed_scratch/$name.log" 2>&1
}

# count NAME CODE FLAG…: counts what the run NAME, which ended with CODE, came
# to; flags of critest_report.py.
count() {
  local name=$1 code=$2 report passed failed more
  shift 2
  report=$(python3 "$here/critest_report.py" "$bed_scratch/$name-report.json" \
    "$@" 2>&1)
  echo "$report"
  read -r passed failed more < <(sed -n \
    's/^specs: \(.*\) passed, \(.*\) failed, \(.*\) skipped.*/\1 \2 \3/p' \
    <<<"$report")
  if [[ $code != 0 || ${failed:-1} != 0 ]]; then
    sed -n '/^Summarizing/,$p' "$bed_scratch/$name.log"
    ((${failed:-0} > 0)) || failed=1
  fi
  bed_passed=$((bed_passed + ${passed:-0}))
  bed_failed=$((bed_failed + failed))
  skipped=$((skipped + ${more:-0}))
}

# specs NAME FOCUS SKIP FLAG…: runs specs and counts them.
specs() {
  local name=$1 focus=$2 skip=$3
  shift 3
  local -a flags=(-ginkgo.skip "$left_out${skip:+|$skip}" "$@")
  [[ -z $focus ]] || flags+=(-ginkgo.focus "$focus")
  bed_step "$name${focus:+: $focus}"
  critest "$name" "${flags[@]}"
  count "$name" "$?" --left-out "$left_out" --slowest 10 \
    ${focus:+--focus} ${skip:+--focus}
}

# What critest measures by default is nothing: the numbers say how often.
benchmarks() {
  bed_step "critest -benchmark"
  mkdir "$bed_scratch/benchmarks"
  cat >"$bed_scratch/benchmarks.yaml" <<YAML
containersNumber: 50
containersNumberParallel: 2
podsNumber: 50
podsNumberParallel: 2
imagesNumber: 20
imagesNumberParallel: 1
imagePullingBenchmarkImage: $busybox
imageListingBenchmarkImages: [$busybox, $nginx]
podContainerStartBenchmarkTimeoutSeconds: 5
YAML
  critest benchmark -benchmark \
    -benchmarking-params-file "$bed_scratch/benchmarks.yaml" \
    -benchmarking-output-dir "$bed_scratch/benchmarks"
  count benchmark "$?" --focus --benchmarks
  python3 "$here/critest_benchmarks.py" "$bed_scratch/benchmarks"
  check "its data was read" 0 "$?"
}

ip link set lo up
bed_start
case ${1:-} in
  --benchmark)
    benchmarks
    ;;
  --whole)
    specs critest "" ""
    specs critest-websocket Streaming "" "${websocket[@]}"
    ;;
  --websocket)
    specs critest "${2:-}" "${3:-}" "${websocket[@]}"
    ;;
  *)
    specs critest "${1:-}" "${2:-}"
    ;;
esac
bed_stop
echo "$bed_passed passed, $bed_failed failed, $skipped skipped"
[[ $bed_failed == 0 ]]
