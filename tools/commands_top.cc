// `pinionctl top`: asks the daemon again and again, and shows what changed.

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "admin.pb.h"
#include "base/status_macros.h"
#include "tools/command_line.h"
#include "tools/commands.h"
#include "tools/cri_client.h"
#include "tools/screen.h"
#include "tools/top.h"

namespace pinion::tools {
namespace {

using admin::v1::PodUsageResponse;
using std::chrono::duration_cast;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr char kUsage[] =
    "top [POD] [--containers] [--sort KEY] [--interval SECONDS] [--once] "
    "[--json]";
constexpr double kShortestInterval = 0.1;
constexpr double kLongestInterval = 3600;
// A daemon that is busy, or stopped: the screen waits no longer.
constexpr milliseconds kAnswerTimeout{3000};

absl::StatusOr<milliseconds> IntervalOf(const CommandLine& line) {
  double seconds = line.once || line.json ? 1 : 2;
  if (!line.interval.empty() &&
      (!absl::SimpleAtod(line.interval, &seconds) ||
       !(seconds >= kShortestInterval && seconds <= kLongestInterval))) {
    return absl::InvalidArgumentError(
        absl::StrCat("--interval \"", line.interval, "\": give seconds from ",
                     kShortestInterval, " to ", kLongestInterval));
  }
  return milliseconds(static_cast<int64_t>(seconds * 1000));
}

std::string PodOf(const CommandLine& line) {
  return line.arguments.empty() ? "" : line.arguments.front();
}

class Source {
 public:
  Source(std::string socket, std::string pod)
      : socket_(std::move(socket)), client_(socket_) {
    request_.set_pod_id(std::move(pod));
  }

  absl::StatusOr<PodUsageResponse> Ask() const {
    PodUsageResponse response;
    PINION_RETURN_IF_ERROR(
        NotServing(client_.Call(request_, &response, kAnswerTimeout), socket_));
    return response;
  }

 private:
  const std::string socket_;
  const CriClient client_;
  admin::v1::PodUsageRequest request_;
};

absl::Status PrintOnce(const CommandLine& line, const std::string& socket,
                       milliseconds interval, TopView view) {
  const Source source(socket, PodOf(line));
  PINION_ASSIGN_OR_RETURN(const PodUsageResponse before, source.Ask());
  // The time over which is measured.
  std::this_thread::sleep_for(interval);
  PINION_ASSIGN_OR_RETURN(const PodUsageResponse after, source.Ask());
  TopSample sample = CompareUsage(before, after);
  const std::string text =
      line.json ? TopJson(std::move(sample), view.sort)
                : RenderTop(std::move(sample), view, Terminal::OfStdout());
  std::fwrite(text.data(), 1, text.size(), stdout);
  return absl::OkStatus();
}

// What a key does; false: it ends.
bool TakeKey(char key, TopView& view) {
  if (key == 'q' || key == 'Q') return false;
  if (key == 'c') view.containers = !view.containers;
  if (key == 's') view.sort = NextTopSort(view.sort);
  return true;
}

absl::Status Watch(const CommandLine& line, const std::string& socket,
                   milliseconds interval, TopView view) {
  // First, since gRPC starts threads.
  PINION_ASSIGN_OR_RETURN(const std::unique_ptr<Screen> screen, Screen::Open());
  const Source source(socket, PodOf(line));
  // An error here is one line on the terminal as it was.
  PINION_ASSIGN_OR_RETURN(PodUsageResponse before, source.Ask());
  TopSample sample = CompareUsage(PodUsageResponse(), before);
  // Levels at once; the first rates soon.
  auto next = steady_clock::now() + std::min(interval, milliseconds(1000));
  std::string trouble;
  while (true) {
    view.lines = screen->lines();
    view.note = absl::StrCat(
        trouble, trouble.empty() ? "" : "; ", "q ends, s sorts, c ",
        view.containers ? "hides" : "shows", " containers");
    screen->Show(RenderTop(sample, view, Terminal::OfStdout()));
    const Screen::Event event = screen->Wait(next);
    if (event.kind == Screen::Event::Kind::kEnd) return absl::OkStatus();
    if (event.kind == Screen::Event::Kind::kKey && !TakeKey(event.key, view)) {
      return absl::OkStatus();
    }
    if (event.kind != Screen::Event::Kind::kTimeout) continue;
    auto after = source.Ask();
    trouble = after.ok() ? "" : std::string(after.status().message());
    if (after.ok()) {
      sample = CompareUsage(before, *after);
      before = *std::move(after);
    }
    next = steady_clock::now() + interval;
  }
}

}  // namespace

absl::StatusOr<int> RunTop(const CommandLine& line) {
  PINION_RETURN_IF_ERROR(WantArguments(line, 0, 1, kUsage));
  PINION_ASSIGN_OR_RETURN(const milliseconds interval, IntervalOf(line));
  TopView view;
  view.containers = line.containers;
  if (!line.sort.empty()) {
    PINION_ASSIGN_OR_RETURN(view.sort, ParseTopSort(line.sort));
  }
  PINION_ASSIGN_OR_RETURN(const std::string socket, SocketOf(line));
  if (line.once || line.json || isatty(STDOUT_FILENO) == 0) {
    PINION_RETURN_IF_ERROR(PrintOnce(line, socket, interval, view));
  } else {
    PINION_RETURN_IF_ERROR(Watch(line, socket, interval, view));
  }
  return 0;
}

}  // namespace pinion::tools
