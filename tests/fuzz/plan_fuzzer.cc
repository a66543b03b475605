// The launch plan's reader: what it accepts can be read to its last byte.

#include <cstdint>
#include <cstdlib>
#include <string>

#include "runtime/launch/plan.h"

namespace {

using pinion::launch::Plan;

size_t Sum(const Plan& plan, const pinion::launch::WireArray& strings) {
  size_t sum = 0;
  for (const auto s : plan.Array<pinion::launch::WireString>(strings)) {
    if (strlen(plan.String(s)) != s.size) abort();
    sum += s.size;
  }
  return sum;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  // The header's size field, so that the rest gets its turn.
  std::string bytes(reinterpret_cast<const char*>(data), size);
  const auto total = static_cast<uint32_t>(size);
  if (size >= 12) bytes.replace(8, 4, reinterpret_cast<const char*>(&total), 4);
  Plan plan;
  if (!plan.Parse(bytes.data(), bytes.size())) return 0;
  const pinion::launch::WireHeader& h = plan.header();
  size_t sum = Sum(plan, h.argv) + Sum(plan, h.env) + Sum(plan, h.lowers) +
               Sum(plan, h.masked_paths) + Sum(plan, h.readonly_paths);
  for (const auto m : plan.Array<pinion::launch::WireMount>(h.mounts)) {
    sum += strlen(plan.String(m.source)) + strlen(plan.String(m.target));
  }
  for (const auto m :
       plan.Array<pinion::launch::WireKernelMount>(h.kernel_mounts)) {
    sum += strlen(plan.String(m.type)) + strlen(plan.String(m.data));
  }
  for (const auto d : plan.Array<pinion::launch::WireDevice>(h.devices)) {
    sum += strlen(plan.String(d.path)) + d.mode;
  }
  for (const uint32_t g : plan.Array<uint32_t>(h.groups)) sum += g;
  for (uint32_t i = 0; i < h.seccomp_program.count; ++i) {
    sum += static_cast<size_t>(plan.Bytes(h.seccomp_program)[i * 8]);
  }
  volatile size_t sink = sum;
  (void)sink;
  return 0;
}
