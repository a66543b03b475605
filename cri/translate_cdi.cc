#include "cri/translate_cdi.h"

#include <algorithm>
#include <map>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "base/status_macros.h"

namespace pinion::cri {
namespace {

constexpr char kAnnotation[] = "cdi.k8s.io/";
constexpr size_t kMaxName = 512;
constexpr int kMaxDevices = 1024;

absl::Status Add(const Field& field, const std::string& name,
                 state::ContainerSpec& out) {
  if (name.empty()) return RefuseField(field, "must not be empty");
  PINION_RETURN_IF_ERROR(CheckLine(field, name, kMaxName));
  const auto& known = out.cdi_devices();
  if (std::find(known.begin(), known.end(), name) != known.end()) {
    return absl::OkStatus();
  }
  if (known.size() >= kMaxDevices) {
    return Refuse(field, name, "is one CDI device too many");
  }
  out.add_cdi_devices(name);
  return absl::OkStatus();
}

}  // namespace

absl::Status SetCdiDevices(const Field& config, const api::ContainerConfig& in,
                           state::ContainerSpec& out) {
  const Field devices = config.Sub("CDI_devices");
  for (int i = 0; i < in.cdi_devices_size(); ++i) {
    const Field element = devices.At(i);
    PINION_RETURN_IF_ERROR(
        Add(element.Sub("name"), in.cdi_devices(i).name(), out));
  }
  const Field annotations = config.Sub("annotations");
  const std::map<std::string, std::string> sorted(in.annotations().begin(),
                                                  in.annotations().end());
  for (const auto& [key, value] : sorted) {
    if (!absl::StartsWith(key, kAnnotation)) continue;
    const Field annotation = annotations.Sub(key);
    for (absl::string_view name : absl::StrSplit(value, ',')) {
      PINION_RETURN_IF_ERROR(Add(annotation, std::string(name), out));
    }
  }
  return absl::OkStatus();
}

}  // namespace pinion::cri
