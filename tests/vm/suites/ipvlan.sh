#!/bin/bash
# Mode ipvlan, which the native kernel does not have: its own tests and those
# of every mode. The tests of a named parent are macvlan's: suite network.
modprobe br_netfilter
exec "$(dirname "$0")/../test_programs" '--gtest_filter=-NamedParentTest.*' \
  network_ipvlan_vm_tests
