// For each field of a pod's and a container's configuration, two requests that
// differ in this field only, in protobuf's text format.

#ifndef PINION_TESTS_UNIT_CRI_FIELD_SAMPLES_H_
#define PINION_TESTS_UNIT_CRI_FIELD_SAMPLES_H_

#include <string>
#include <vector>

namespace pinion::cri {

enum class SampleOf { kPod, kContainer };

struct FieldSample {
  std::string field;  // "Message.field"
  SampleOf of = SampleOf::kPod;
  std::string without;
  std::string with;
};

std::vector<FieldSample> FieldSamples();

}  // namespace pinion::cri

#endif  // PINION_TESTS_UNIT_CRI_FIELD_SAMPLES_H_
