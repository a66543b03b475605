// The ends of a process's stdio that a client of Exec or Attach holds, as
// descriptors: bytes are copied once, between these and the client's
// connection.
//
// Not thread-safe: one session owns it. Resize and the descriptors may be
// used at the same time.

#ifndef PINION_RUNTIME_PROCESS_STREAMS_H_
#define PINION_RUNTIME_PROCESS_STREAMS_H_

#include <cstdint>
#include <optional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "os/unique_fd.h"

namespace pinion::runtime {

// What the client asked for. A terminal has no stderr of its own.
struct StreamOptions {
  bool stdin_open = false;
  bool stdout_open = false;
  bool stderr_open = false;
  bool terminal = false;
};

class ProcessStreams {
 public:
  // Returns at once. An exec that runs: its whole process tree is ended, in the
  // background. One that has ended: what it left behind (a daemon that it
  // started) goes on, as after ExecSync. An attach: detaches, the container
  // runs on.
  virtual ~ProcessStreams() = default;

  // Non-blocking; -1: not asked for, or closed. With a terminal, input and
  // output are two descriptors of one console. EIO from a console, like an
  // end of file, means that nobody holds its other side any more.
  virtual int input() const = 0;
  virtual int output() const = 0;
  virtual int error() const = 0;
  // The client's half-close: the process reads an end of file; from a terminal
  // the character for it (^D). An attach: only where the container's stdin is
  // for one client (stdin_once) and no terminal; otherwise others may attach.
  virtual void CloseInput() = 0;

  // FailedPrecondition without a terminal.
  virtual absl::Status Resize(uint16_t columns, uint16_t rows) = 0;

  // Readable (level-triggered) once the process has ended, or for an attach
  // the container. What it wrote before is then still in the descriptors; a
  // grandchild may hold them open for ever.
  virtual int ended_fd() const = 0;
  // nullopt before the end. The exit code; Unavailable: the monitor was lost.
  virtual std::optional<absl::StatusOr<int32_t>> Outcome() const = 0;
};

}  // namespace pinion::runtime

#endif  // PINION_RUNTIME_PROCESS_STREAMS_H_
