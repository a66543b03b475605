// One more process in a running container: its start, its end, and what is
// done with what it leaves behind. What ExecSync and Exec have in common.
//
// Thread-safe once it is started. The context outlives it.

#ifndef PINION_RUNTIME_EXEC_PROCESS_H_
#define PINION_RUNTIME_EXEC_PROCESS_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "os/unique_fd.h"
#include "runtime/context.h"
#include "runtime/exec_cgroup.h"

namespace pinion::runtime {

class ExecProcess {
 public:
  // Borrowed for the time of the start. -1: /dev/null. With a terminal, none.
  struct Stdio {
    int input = -1;
    int output = -1;
    int error = -1;
    bool terminal = false;
  };

  // Returns once the command has exec'ed. InvalidArgument without a command;
  // FailedPrecondition if the container does not run or the command cannot.
  static absl::StatusOr<std::unique_ptr<ExecProcess>> Start(
      Context& context, const std::string& container_id,
      const std::vector<std::string>& command, const Stdio& stdio);

  // While it runs: kills its whole tree, in the background. After its end:
  // what it left behind goes on (ExecCgroup::Leave).
  ~ExecProcess();
  ExecProcess(const ExecProcess&) = delete;
  ExecProcess& operator=(const ExecProcess&) = delete;

  const std::string& id() const { return id_; }

  // ProcessStreams says what they promise.
  int ended_fd() const { return entry_->ended_fd(); }
  std::optional<absl::StatusOr<int32_t>> Outcome() const;

  // SIGKILL to the whole tree; nothing of it is left behind.
  absl::Status Kill();

  // The terminal's controlling side; once.
  os::UniqueFd TakeConsole() { return std::move(console_); }

 private:
  ExecProcess(Context& context, const Container& container);
  absl::Status Launch(const Container& container,
                      const std::vector<std::string>& command,
                      const Stdio& stdio);

  Context& context_;
  const std::string id_;
  const ExecCgroup cgroup_;
  std::shared_ptr<ExecTable::Entry> entry_;
  os::UniqueFd console_;
  bool has_cgroup_ = false;
  bool may_run_ = false;
  bool killed_ = false;
};

}  // namespace pinion::runtime

#endif  // PINION_RUNTIME_EXEC_PROCESS_H_
