#include "cri/runtime_service_exec.h"

#include <utility>
#include <vector>

#include "base/status_macros.h"
#include "cri/field.h"
#include "cri/message_limit.h"
#include "cri/resolve.h"
#include "cri/rpc_seconds.h"
#include "runtime/runtime.h"

namespace pinion::cri {
namespace {

// Tags, lengths and the exit code, generously.
constexpr size_t kAnswerOverhead = 64;

}  // namespace

void FitTogether(size_t limit, std::string* a, std::string* b) {
  if (a->size() + b->size() <= limit) return;
  std::string* longer = a->size() >= b->size() ? a : b;
  std::string* shorter = longer == a ? b : a;
  if (shorter->size() > limit / 2) {
    longer->resize(limit / 2);
    shorter->resize(limit / 2);
  } else {
    longer->resize(limit - shorter->size());
  }
}

absl::Status ExecRpcs::ExecSync(const api::ExecSyncRequest& request,
                                api::ExecSyncResponse* response) {
  const Field cmd("cmd");
  if (request.cmd().empty()) return RefuseField(cmd, "must not be empty");
  if (request.cmd(0).empty()) {
    return RefuseField(cmd.At(0), "must not be empty");
  }
  for (int i = 0; i < request.cmd_size(); ++i) {
    PINION_RETURN_IF_ERROR(
        CheckText(cmd.At(i), request.cmd(i), kMaxMessageBytes));
  }
  PINION_ASSIGN_OR_RETURN(const auto timeout,
                          ToSeconds("timeout", request.timeout()));
  PINION_ASSIGN_OR_RETURN(const std::string id,
                          ResolveContainerId(runtime_, request.container_id()));
  PINION_ASSIGN_OR_RETURN(
      runtime::ExecResult result,
      runtime_.ExecSync(
          id,
          std::vector<std::string>(request.cmd().begin(), request.cmd().end()),
          timeout));
  FitTogether(kMaxMessageBytes - kAnswerOverhead, &result.stdout_data,
              &result.stderr_data);
  response->set_stdout(std::move(result.stdout_data));
  response->set_stderr(std::move(result.stderr_data));
  response->set_exit_code(result.exit_code);
  return absl::OkStatus();
}

absl::Status ExecRpcs::ReopenContainerLog(
    const api::ReopenContainerLogRequest& request,
    api::ReopenContainerLogResponse*) {
  PINION_ASSIGN_OR_RETURN(const std::string id,
                          ResolveContainerId(runtime_, request.container_id()));
  return runtime_.ReopenLog(id);
}

}  // namespace pinion::cri
