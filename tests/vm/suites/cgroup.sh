#!/bin/bash
# cgroups under systemd: the driver against the real manager (reload, re-exec,
# dbus restarted or hanging, stuck jobs, 50 pods at once), what pods cost PID 1,
# limits with every controller, and by what processes get; and what is tested
# natively once more, on this kernel.
exec "$(dirname "$0")/../test_programs" \
  cgroup_vm_tests cgroup_itests cgroup_tests
