// One output of a container (a pipe, or the pty's controlling side) on its
// way into the log and to the clients attached to it. Single-threaded.

#ifndef PINION_RUNTIME_MONITOR_OUTPUT_STREAM_H_
#define PINION_RUNTIME_MONITOR_OUTPUT_STREAM_H_

#include <cstddef>

#include "runtime/monitor/audience.h"
#include "runtime/monitor/cri_log.h"
#include "runtime/monitor/log_file.h"
#include "runtime/monitor/loop.h"

namespace pinion::monitor {

class OutputStream {
 public:
  // Takes `fd` (made non-blocking). `stream` is Audience's. `loop`, `log` and
  // `audience` outlive it. `closed` is called when the stream came to its end
  // by itself, in the loop. 0 or errno; `fd` is closed on an error.
  int Open(Loop* loop, int fd, int stream, LogFile* log, Audience* audience,
           void (*closed)(void* context), void* context);

  bool is_open() const { return watch_.fd >= 0; }

  // Reads what is in it now, at most what a pipe holds, so that a writer who
  // never rests cannot hold the caller.
  void Drain();

  // The audience holds nothing back any more.
  void Resume();

  // Logs an unfinished line and closes. Nothing if it is closed.
  void Close();

 private:
  static void Ready(void* self, uint32_t events);
  const char* name() const;
  // One read; false when there was nothing (closed at the end of file).
  bool ReadOnce(size_t* size);

  Loop* loop_ = nullptr;
  Watch watch_;
  int stream_ = Audience::kStdout;
  LogFile* log_ = nullptr;
  Audience* audience_ = nullptr;
  void (*closed_)(void* context) = nullptr;
  void* context_ = nullptr;
  CriLogFormatter formatter_;
};

}  // namespace pinion::monitor

#endif  // PINION_RUNTIME_MONITOR_OUTPUT_STREAM_H_
