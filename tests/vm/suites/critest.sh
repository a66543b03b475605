#!/bin/bash
# The whole of critest under systemd, cgroup v2 and AppArmor, in one boot.
set -uo pipefail
tree=$(cd "$(dirname "$0")/../../.." && pwd)
exec bash "$tree/tests/conformance/critest.sh" --whole
