// The CRI log format, without I/O: bytes of one stream in, whole log lines
// out, as the kubelet parses them.
//
//   2026-11-21T21:07:16.123456789Z stdout F a whole line
//   2026-11-21T21:07:16.123456789Z stdout P the first 16 KiB of a longer one
//
// A line of at most 16384 bytes is one F line. A longer one is cut into P
// lines of 16384 bytes and an F line with the rest. What a stream left without
// a line break when it ended is a P line: the kubelet joins P lines without
// breaks, so `kubectl logs` prints exactly the bytes the container wrote
// (containerd's choice too).
//
// Not thread-safe. One heap block of 16 KiB per stream, made when the stream
// first leaves a line unfinished at the end of a read.

#ifndef PINION_RUNTIME_MONITOR_CRI_LOG_H_
#define PINION_RUNTIME_MONITOR_CRI_LOG_H_

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>

namespace pinion::monitor {

inline constexpr size_t kMaxLogLine = 16 * 1024;
inline constexpr size_t kTimestampLength = 30;

// "2026-11-21T21:07:16.123456789Z" (no NUL) for nanoseconds since the epoch.
void FormatTimestamp(int64_t wall_ns, char* text);

// Whole lines, ready for writev(2). The parts point into the read buffer, the
// formatter's own buffer and this object.
class LogBatch {
 public:
  static constexpr size_t kMaxParts = 128;

  // Starts over; every line of a batch bears the same time.
  void Start(int64_t wall_ns, const char* stream);

  const iovec* parts() const { return parts_; }
  size_t count() const { return count_; }
  size_t lines() const { return lines_; }
  size_t bytes() const { return bytes_; }
  // A line begins with the part of this index.
  bool IsLineStart(size_t part) const;

 private:
  friend class CriLogFormatter;
  static constexpr size_t kMaxHeader = kTimestampLength + 1 + 6 + 3;

  bool HasRoom() const { return count_ + 4 <= kMaxParts; }
  void Add(const char* data, size_t size);
  void StartLine(bool partial);

  iovec parts_[kMaxParts];
  size_t count_ = 0;
  size_t lines_ = 0;
  size_t bytes_ = 0;
  size_t header_size_ = 0;
  char full_[kMaxHeader];
  char partial_[kMaxHeader];
};

class CriLogFormatter {
 public:
  CriLogFormatter() = default;
  ~CriLogFormatter();
  CriLogFormatter(const CriLogFormatter&) = delete;
  CriLogFormatter& operator=(const CriLogFormatter&) = delete;

  // Adds lines to a batch that was just started and returns how many bytes of
  // `data` are used up. Write the batch, then call again with the rest, until
  // nothing is left.
  size_t Format(const char* data, size_t size, LogBatch* batch);

  // The stream has ended: adds what is left. Call when nothing is left to
  // format; at most one line.
  void Finish(LogBatch* batch);

 private:
  // The line so far, up to kMaxLogLine bytes. When the heap has no room for
  // it, what should be kept is written as a P line at once.
  char* pending_ = nullptr;
  size_t pending_size_ = 0;
};

}  // namespace pinion::monitor

#endif  // PINION_RUNTIME_MONITOR_CRI_LOG_H_
