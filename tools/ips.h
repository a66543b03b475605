// `pinionctl ips`: who holds which address, and how full the pools are. Read
// from the mapped pool files; the daemon, which knows names and MACs, need not
// run.

#ifndef PINION_TOOLS_IPS_H_
#define PINION_TOOLS_IPS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "tools/terminal.h"

namespace pinion::tools {

// By a pool's file below <state>/ipam (ipam::ListPools): the network of its
// addresses, empty for pods' first one, and what people call it, as metrics do:
// "10.88.0.0/22", "storage:10.2.0.0/24".
std::string NetworkOfPool(const std::string& file);
std::string PoolTitle(const std::string& file);

struct AddressRow {
  std::string address;
  bool owned = false;  // else: released, and cooling down
  std::string owner;   // first 13 digits of the pod's id
  std::string pod;     // "namespace/name" if the daemon could say
  std::string mac;     // of the pod's interface, if the daemon could say
  // Since the claim or the release.
  std::optional<int64_t> age_ns;
  // Of a released address: until somebody may get it.
  std::optional<int64_t> cooling_ns;
};

struct PoolView {
  std::string name;
  uint64_t capacity = 0;
  uint64_t used = 0;
  // Of `rows`: released, and not yet to be had.
  uint64_t cooling = 0;
  // To be had now.
  uint64_t Free() const;
  std::vector<AddressRow> rows;
};

std::string RenderPools(const std::vector<PoolView>& pools,
                        const Terminal& terminal);
std::string PoolsJson(const std::vector<PoolView>& pools);

}  // namespace pinion::tools

#endif  // PINION_TOOLS_IPS_H_
