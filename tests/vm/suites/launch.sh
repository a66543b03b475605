#!/bin/bash
# Launching processes: what is tested natively once more, on this kernel, and
# AppArmor. (child_symbols_test looks at the build's objects, on the host.)
cp "$(dirname "$0")/../../../build/dev/tests/busybox" /usr/bin/busybox
modprobe overlay
exec "$(dirname "$0")/../test_programs" '--gtest_filter=-ChildSymbolsTest.*' \
  launch_vm_tests launch_itest launch_tests plan_tests
