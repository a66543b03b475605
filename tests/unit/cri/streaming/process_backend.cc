#include "tests/unit/cri/streaming/process_backend.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pty.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/error.h"

namespace pinion::cri::streaming {
namespace {

// Both ends of a pipe; the parent's is non-blocking.
struct Pipe {
  os::UniqueFd child;
  os::UniqueFd parent;

  void Open(bool child_reads) {
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) != 0) abort();
    child.Reset(fds[child_reads ? 0 : 1]);
    parent.Reset(fds[child_reads ? 1 : 0]);
    fcntl(parent.get(), F_SETFL, O_NONBLOCK);
  }
};

class Process final : public runtime::ProcessStreams {
 public:
  explicit Process(std::atomic<int>* alive) : alive_(*alive) { ++alive_; }

  ~Process() override {
    // The whole session that it leads, or is about to lead.
    kill(-pid_, SIGKILL);
    if (!code_.has_value()) kill(pid_, SIGKILL);
    if (!code_.has_value()) waitpid(pid_, nullptr, 0);
    --alive_;
  }

  void Start(const std::vector<std::string>& command,
             const runtime::StreamOptions& options) {
    if (options.terminal) {
      StartOnTerminal(command);
    } else {
      if (options.stdin_open) in_.Open(true);
      if (options.stdout_open) out_.Open(false);
      if (options.stderr_open) err_.Open(false);
      pid_ = fork();
      if (pid_ == 0) {
        setsid();
        const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
        dup2(in_.child.valid() ? in_.child.get() : null, 0);
        dup2(out_.child.valid() ? out_.child.get() : null, 1);
        dup2(err_.child.valid() ? err_.child.get() : null, 2);
        Exec(command);
      }
      for (Pipe* pipe : {&in_, &out_, &err_}) pipe->child.Reset();
    }
    pidfd_.Reset(static_cast<int>(syscall(SYS_pidfd_open, pid_, 0)));
    if (!pidfd_.valid()) abort();
  }

  int input() const override { return in_.parent.get(); }
  int output() const override { return out_.parent.get(); }
  int error() const override { return err_.parent.get(); }
  void CloseInput() override { in_.parent.Reset(); }

  absl::Status Resize(uint16_t columns, uint16_t rows) override {
    winsize size = {rows, columns, 0, 0};
    if (ioctl(out_.parent.get(), TIOCSWINSZ, &size) != 0) {
      return os::ErrnoStatus("TIOCSWINSZ");
    }
    return absl::OkStatus();
  }

  int ended_fd() const override { return pidfd_.get(); }

  std::optional<absl::StatusOr<int32_t>> Outcome() const override {
    if (!code_.has_value()) {
      int status = 0;
      if (waitpid(pid_, &status, WNOHANG) != pid_) return std::nullopt;
      code_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    }
    return absl::StatusOr<int32_t>(*code_);
  }

 private:
  void StartOnTerminal(const std::vector<std::string>& command) {
    int console = -1;
    pid_ = forkpty(&console, nullptr, nullptr, nullptr);
    if (pid_ == 0) Exec(command);
    fcntl(console, F_SETFD, FD_CLOEXEC);
    fcntl(console, F_SETFL, O_NONBLOCK);
    out_.parent.Reset(console);
    in_.parent.Reset(fcntl(console, F_DUPFD_CLOEXEC, 0));
  }

  [[noreturn]] static void Exec(const std::vector<std::string>& command) {
    std::vector<char*> argv;
    for (const std::string& word : command) {
      argv.push_back(const_cast<char*>(word.c_str()));
    }
    argv.push_back(nullptr);
    execvp(argv[0], argv.data());
    _exit(127);
  }

  std::atomic<int>& alive_;
  Pipe in_;
  Pipe out_;
  Pipe err_;
  pid_t pid_ = -1;
  os::UniqueFd pidfd_;
  mutable std::optional<int32_t> code_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<runtime::ProcessStreams>>
ProcessBackend::OpenExec(const std::string& container_id,
                         const std::vector<std::string>& command,
                         const runtime::StreamOptions& options) {
  if (container_id != "container") return absl::NotFoundError("no container");
  auto process = std::make_unique<Process>(&alive);
  process->Start(command, options);
  return process;
}

absl::StatusOr<std::unique_ptr<runtime::ProcessStreams>>
ProcessBackend::OpenAttach(const std::string& container_id,
                           const runtime::StreamOptions& options) {
  return OpenExec(container_id, {"sh", "-c", "cat; exit 9"}, options);
}

absl::StatusOr<runtime::PortConnection> ProcessBackend::ConnectPort(
    const std::string& pod_id, uint16_t port) {
  ++connects;
  constexpr int kKind = SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK;
  return runtime::PortConnection(os::UniqueFd(socket(AF_INET, kKind, 0)),
                                 os::UniqueFd(socket(AF_INET6, kKind, 0)), port,
                                 pod_id);
}

}  // namespace pinion::cri::streaming
