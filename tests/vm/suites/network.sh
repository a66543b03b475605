#!/bin/bash
# Pod networks and IPAM: what is tested natively once more, on Debian's kernel
# (older than the native one, and with dummy devices), and VLANs.
# Of Debian's kernel a module; its settings are per network namespace.
modprobe br_netfilter
exec "$(dirname "$0")/../test_programs" \
  network_vm_tests network_itest network_tests ipam_tests
