// Image references as people and the kubelet write them:
//
//   [host[:port]/]path[:tag][@sha256:…]
//
// The grammar is Docker's: the first component is a host if it has a '.' or a
// ':' or is "localhost"; a path of one component on the default registry is
// in "library/"; a reference with neither tag nor digest means ":latest".
//
// A value type.

#ifndef PINION_IMAGE_REFERENCE_H_
#define PINION_IMAGE_REFERENCE_H_

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "image/digest.h"

namespace pinion::image {

struct Reference {
  std::string domain;  // "registry.example:5000"
  std::string path;    // "library/busybox"
  std::string tag;     // empty if there is a digest and no tag
  Digest digest;       // empty if there is none

  // domain/path.
  std::string Name() const { return domain + "/" + path; }
  // Under which the store keeps it: name@digest if there is a digest,
  // else name:tag.
  std::string Key() const;
};

// The registry of references that name none.
extern const char kDockerDomain[];
// Where that registry answers.
extern const char kDockerEndpoint[];

// Normalised. `default_registry` replaces kDockerDomain if not empty (there
// is no "library/" then). InvalidArgument says what is wrong.
absl::StatusOr<Reference> ParseReference(
    std::string_view text, const std::string& default_registry = "");

// Whether `pattern` (fnmatch(3) with '*' and '?', matching '/' too) matches
// the whole of `text`.
bool MatchesGlob(const std::string& pattern, const std::string& text);

}  // namespace pinion::image

#endif  // PINION_IMAGE_REFERENCE_H_
