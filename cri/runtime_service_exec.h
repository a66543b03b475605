// The RPCs that act inside a running container: ExecSync, ReopenContainerLog.
//
// Thread-safe; holds nothing but pointers.

#ifndef PINION_CRI_RUNTIME_SERVICE_EXEC_H_
#define PINION_CRI_RUNTIME_SERVICE_EXEC_H_

#include <cstddef>
#include <string>

#include "absl/status/status.h"
#include "cri/api.h"

namespace pinion::runtime {
class Runtime;
}

namespace pinion::cri {

class ExecRpcs {
 public:
  explicit ExecRpcs(runtime::Runtime* runtime) : runtime_(*runtime) {}

  // DeadlineExceeded, which the kubelet takes for a probe's time-out, once
  // the exec's whole process tree is killed.
  absl::Status ExecSync(const api::ExecSyncRequest& request,
                        api::ExecSyncResponse* response);
  // On an error no new log file is left.
  absl::Status ReopenContainerLog(const api::ReopenContainerLogRequest& request,
                                  api::ReopenContainerLogResponse* response);

 private:
  runtime::Runtime& runtime_;
};

// Cuts the longer of both until they have at most `limit` bytes together: an
// answer that is too long for the client's limit would be none at all.
void FitTogether(size_t limit, std::string* a, std::string* b);

}  // namespace pinion::cri

#endif  // PINION_CRI_RUNTIME_SERVICE_EXEC_H_
