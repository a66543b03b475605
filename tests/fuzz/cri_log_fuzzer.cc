// Whatever a container writes, in whatever pieces it is read: the log lines
// are well formed and say exactly those bytes.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "runtime/monitor/cri_log.h"

namespace pinion::monitor {
namespace {

constexpr size_t kHeader = kTimestampLength + 1 + 6 + 3;

// Appends what the kubelet would show of the batch's lines.
void Show(const LogBatch& batch, std::string* shown) {
  std::string text;
  for (size_t i = 0; i < batch.count(); ++i) {
    text.append(static_cast<const char*>(batch.parts()[i].iov_base),
                batch.parts()[i].iov_len);
  }
  size_t at = 0;
  size_t lines = 0;
  while (at < text.size()) {
    const size_t end = text.find('\n', at);
    if (end == std::string::npos || end - at < kHeader) abort();
    const char tag = text[at + kHeader - 2];
    if (tag != 'F' && tag != 'P') abort();
    const std::string line = text.substr(at + kHeader, end - at - kHeader);
    if (line.size() > kMaxLogLine) abort();
    *shown += line;
    if (tag == 'F') *shown += '\n';
    at = end + 1;
    ++lines;
  }
  if (lines != batch.lines()) abort();
}

}  // namespace
}  // namespace pinion::monitor

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace pinion::monitor;
  // The first byte says how long a read is; every other byte stands for a
  // run, so that long lines are within reach.
  if (size < 2) return 0;
  const size_t piece = size_t{data[0]} * 257 + 1;
  std::string input;
  for (size_t i = 1; i < size && input.size() < size_t{1} << 20; ++i) {
    input.append(data[i] % 4 == 0 ? size_t{data[i]} * 130 : 1,
                 data[i] % 8 == 1 ? '\n' : static_cast<char>(data[i]));
  }
  CriLogFormatter formatter;
  std::string shown;
  LogBatch batch;
  for (size_t from = 0; from < input.size(); from += piece) {
    const std::string read = input.substr(from, piece);
    size_t at = 0;
    while (at < read.size()) {
      batch.Start(1, "stdout");
      at += formatter.Format(read.data() + at, read.size() - at, &batch);
      Show(batch, &shown);
    }
  }
  batch.Start(1, "stdout");
  formatter.Finish(&batch);
  Show(batch, &shown);
  if (shown != input) abort();
  return 0;
}
