// A Localhost seccomp profile. Small ones are also compiled.

#include <cstdint>
#include <string>

#include "runtime/plan/seccomp_json.h"
#include "runtime/plan/seccomp_profile.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string json(reinterpret_cast<const char*>(data), size);
  const auto profile =
      pinion::plan::ParseSeccompJson(json, 0xa80425fb, "6.1.0-18-amd64");
  if (!profile.ok() || profile->rules.size() > 8) return 0;
  size_t names = 0;
  for (const auto& rule : profile->rules) names += rule.names.size();
  if (names > 64 || profile->architectures.size() > 4) return 0;
  const auto program = pinion::plan::CompileSeccomp(*profile);
  if (program.ok() && program->size() % 8 != 0) __builtin_trap();
  return 0;
}
