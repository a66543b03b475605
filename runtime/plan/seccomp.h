// seccomp filters for containers: what LaunchSpec.seccomp_program holds.
//
// Thread-safe. A privileged container gets none.

#ifndef PINION_RUNTIME_PLAN_SECCOMP_H_
#define PINION_RUNTIME_PLAN_SECCOMP_H_

#include <cstdint>
#include <map>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "runtime/plan/seccomp_profile.h"

namespace pinion::plan {

// Compiles profiles and keeps the programs: compiling takes milliseconds, and
// a node's containers share a handful of them.
class SeccompCompiler {
 public:
  // pinion's own profile, for a container whose bounding set is
  // `capabilities`.
  absl::StatusOr<std::string> RuntimeDefault(uint64_t capabilities);

  // The JSON file at `path` on the host, read anew each time (it may have
  // changed), at most 1 MiB. NotFound if it is absent; InvalidArgument if it
  // is malformed.
  absl::StatusOr<SeccompFilter> Localhost(const std::string& path,
                                          uint64_t capabilities);

 private:
  using Key = std::pair<std::string, uint64_t>;  // text ("": default), caps

  absl::StatusOr<SeccompFilter> Compile(const std::string& text,
                                        uint64_t capabilities);

  absl::Mutex mutex_;
  std::map<Key, SeccompFilter> programs_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace pinion::plan

#endif  // PINION_RUNTIME_PLAN_SECCOMP_H_
