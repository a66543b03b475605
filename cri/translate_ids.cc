#include "cri/translate_ids.h"

#include <cstdint>

#include "base/status_macros.h"

namespace pinion::cri {
namespace {

constexpr int kMaxMappings = 340;
// (uid_t)-1 is no id.
constexpr uint64_t kIdLimit = 0xffffffff;

bool Overlap(uint64_t a, uint64_t b, uint64_t a_length, uint64_t b_length) {
  return a < b + b_length && b < a + a_length;
}

}  // namespace

absl::Status ToIdMappings(const Field& field, const ApiIdMappings& in,
                          bool whole, IdMappings* out) {
  if (in.size() > kMaxMappings) {
    return Refuse(field, in.size(), "are more mappings than the kernel takes");
  }
  bool has_root = false;
  for (int i = 0; i < in.size(); ++i) {
    const Field at = field.At(i);
    const api::IDMapping& m = in[i];
    if (m.length() == 0) return Refuse(at.Sub("length"), 0, "must be positive");
    if (uint64_t{m.host_id()} + m.length() > kIdLimit ||
        uint64_t{m.container_id()} + m.length() > kIdLimit) {
      return Refuse(at.Sub("length"), m.length(), "goes beyond 32 bits");
    }
    for (int j = 0; j < i; ++j) {
      if (Overlap(m.host_id(), in[j].host_id(), m.length(), in[j].length()) ||
          Overlap(m.container_id(), in[j].container_id(), m.length(),
                  in[j].length())) {
        return RefuseField(at, "overlaps with another mapping");
      }
    }
    has_root = has_root || m.container_id() == 0;
    state::IdMapping& mapping = *out->Add();
    mapping.set_container_id(m.container_id());
    mapping.set_host_id(m.host_id());
    mapping.set_length(m.length());
  }
  if (whole && !has_root) return RefuseField(field, "must map container_id 0");
  return absl::OkStatus();
}

void FromIdMappings(const IdMappings& in, ApiIdMappings* out) {
  for (const state::IdMapping& m : in) {
    api::IDMapping& mapping = *out->Add();
    mapping.set_container_id(m.container_id());
    mapping.set_host_id(m.host_id());
    mapping.set_length(m.length());
  }
}

}  // namespace pinion::cri
