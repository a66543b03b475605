// A CDI specification: as JSON if it starts so, else as YAML.

#include <cstdint>
#include <string>

#include "runtime/plan/cdi_spec.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using pinion::plan::CdiFormat;
  const std::string text(reinterpret_cast<const char*>(data), size);
  const bool json = !text.empty() && text[0] == '{';
  const auto spec = pinion::plan::ParseCdiSpec(
      text, json ? CdiFormat::kJson : CdiFormat::kYaml);
  if (!spec.ok()) return 0;
  for (const auto& device : spec->devices) {
    if (!pinion::plan::IsCdiName(spec->kind + "=" + device.name)) {
      __builtin_trap();
    }
    for (const auto& node : device.edits.nodes) {
      if (node.path[0] != '/' ||
          node.major.has_value() != node.minor.has_value()) {
        __builtin_trap();
      }
    }
  }
  return 0;
}
