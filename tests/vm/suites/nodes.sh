#!/bin/bash
# Two nodes on one LAN and a third host, each node with a piniond, on Debian's
# kernel: what is tested natively once more.
export PINION_BUILD=/pinion/build/dev
exec "$(dirname "$0")/../test_programs" daemon_two_nodes_tests
