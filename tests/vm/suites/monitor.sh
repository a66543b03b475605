#!/bin/bash
# Pod monitors: out-of-memory deaths, and what is tested natively once more, on
# this kernel, but for two hundred starts, which take minutes in emulation.
cp "$(dirname "$0")/../../../build/dev/tests/busybox" /usr/bin/busybox
modprobe -a overlay loop
exec "$(dirname "$0")/../test_programs" '--gtest_filter=-*TwoHundred*' \
  monitor_vm_tests monitor_itest monitor_tests
