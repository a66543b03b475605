// Labels and annotations, which every object carries and every status shows
// unaltered. Pure functions.

#ifndef PINION_CRI_TRANSLATE_METADATA_H_
#define PINION_CRI_TRANSLATE_METADATA_H_

#include <google/protobuf/map.h>

#include <string>

#include "absl/status/status.h"
#include "cri/field.h"

namespace pinion::cri {

using StringMap = google::protobuf::Map<std::string, std::string>;

// Keys of 1 to 512 bytes without control characters, values of at most 4096
// bytes, 256 KiB in all: labels are small by nature (Kubernetes: 63 bytes).
absl::Status CheckLabels(const Field& field, const StringMap& labels);

// Keys as above, 1 MiB in all (Kubernetes: 256 KiB, and the kubelet adds its
// own). Values are any text.
absl::Status CheckAnnotations(const Field& field, const StringMap& annotations);

// True if `labels` holds every pair of `selector`.
bool MatchesLabels(const StringMap& selector, const StringMap& labels);

}  // namespace pinion::cri

#endif  // PINION_CRI_TRANSLATE_METADATA_H_
