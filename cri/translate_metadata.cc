#include "cri/translate_metadata.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace pinion::cri {
namespace {

constexpr size_t kMaxKey = 512;
constexpr size_t kMaxLabelValue = 4096;
constexpr size_t kMaxLabels = size_t{256} << 10;
constexpr size_t kMaxAnnotations = size_t{1} << 20;

absl::Status CheckMap(const Field& field, const StringMap& map,
                      size_t max_value, size_t max_total) {
  size_t total = 0;
  for (const auto& [key, value] : map) {
    if (key.empty()) return RefuseField(field, "a key must not be empty");
    PINION_RETURN_IF_ERROR(CheckLine(field.Sub("key"), key, kMaxKey));
    if (value.size() > max_value) {
      return Refuse(field.Sub("key"), key,
                    absl::StrCat("its value must have at most ", max_value,
                                 " bytes, not ", value.size()));
    }
    total += key.size() + value.size();
  }
  if (total > max_total) {
    return RefuseField(field, absl::StrCat("must have at most ", max_total,
                                           " bytes in all, not ", total));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckLabels(const Field& field, const StringMap& labels) {
  return CheckMap(field, labels, kMaxLabelValue, kMaxLabels);
}

absl::Status CheckAnnotations(const Field& field,
                              const StringMap& annotations) {
  return CheckMap(field, annotations, kMaxAnnotations, kMaxAnnotations);
}

bool MatchesLabels(const StringMap& selector, const StringMap& labels) {
  return std::all_of(
      selector.begin(), selector.end(), [&labels](const auto& wanted) {
        const auto found = labels.find(wanted.first);
        return found != labels.end() && found->second == wanted.second;
      });
}

}  // namespace pinion::cri
