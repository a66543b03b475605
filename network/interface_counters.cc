#include "network/interface_counters.h"

#include <fcntl.h>

#include <array>
#include <charconv>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "os/file.h"
#include "os/process.h"
#include "os/unique_fd.h"

namespace pinion::network {
namespace {

// bytes packets errs drop fifo frame compressed multicast, then the same of
// what was sent.
constexpr size_t kColumns = 16;
constexpr size_t kSent = 8;

std::string_view CutLine(std::string_view& text) {
  const size_t end = text.find('\n');
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  return line;
}

std::string_view Trim(std::string_view text) {
  const size_t start = text.find_first_not_of(' ');
  if (start == std::string_view::npos) return {};
  return text.substr(start, text.find_last_not_of(' ') - start + 1);
}

std::optional<InterfaceCounters> ParseLine(std::string_view line) {
  // A name may hold ':' ("eth0:1" of old), the numbers do not.
  const size_t colon = line.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  const std::string_view name = Trim(line.substr(0, colon));
  if (name.empty()) return std::nullopt;
  line.remove_prefix(colon + 1);
  std::array<uint64_t, kColumns> columns = {};
  for (uint64_t& column : columns) {
    const size_t start = line.find_first_not_of(' ');
    if (start == std::string_view::npos) return std::nullopt;
    line.remove_prefix(start);
    const auto [end, error] =
        std::from_chars(line.data(), line.data() + line.size(), column);
    if (error != std::errc()) return std::nullopt;
    line.remove_prefix(static_cast<size_t>(end - line.data()));
  }
  return InterfaceCounters{.name = std::string(name),
                           .rx_bytes = columns[0],
                           .rx_packets = columns[1],
                           .rx_errors = columns[2],
                           .rx_dropped = columns[3],
                           .tx_bytes = columns[kSent],
                           .tx_packets = columns[kSent + 1],
                           .tx_errors = columns[kSent + 2],
                           .tx_dropped = columns[kSent + 3]};
}

}  // namespace

std::vector<InterfaceCounters> ParseNetDev(std::string_view text) {
  std::vector<InterfaceCounters> interfaces;
  while (!text.empty()) {
    auto counters = ParseLine(CutLine(text));
    if (counters && counters->name != "lo") {
      interfaces.push_back(*std::move(counters));
    }
  }
  return interfaces;
}

absl::StatusOr<std::vector<InterfaceCounters>> ReadInterfaceCounters(
    pid_t pid, uint64_t start_ticks) {
  const std::string path = absl::StrCat("/proc/", pid, "/net/dev");
  PINION_ASSIGN_OR_RETURN(const os::UniqueFd fd,
                          os::OpenAt(AT_FDCWD, path, O_RDONLY));
  // Looked at after the open: the process that has the pid now had it then.
  PINION_ASSIGN_OR_RETURN(const uint64_t started, os::ProcessStartTicks(pid));
  if (started != start_ticks) {
    return absl::NotFoundError(absl::StrCat("process ", pid, " is gone"));
  }
  PINION_ASSIGN_OR_RETURN(const std::string text, os::ReadFd(fd.get(), path));
  return ParseNetDev(text);
}

}  // namespace pinion::network
