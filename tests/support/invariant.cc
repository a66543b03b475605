#include "tests/support/invariant.h"

#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "os/file.h"
#include "tests/support/invariant_processes.h"

namespace pinion::testing_support {
namespace {

namespace fs = std::filesystem;
using Lines = std::multiset<std::string>;

constexpr int kTreeDepth = 3;

std::string V2Root() {
  return fs::exists("/sys/fs/cgroup/cgroup.controllers")
             ? "/sys/fs/cgroup"
             : "/sys/fs/cgroup/unified";
}

// Root, mount point, type and source of every mount; its numbers change when
// a parent does.
Lines Mounts(pid_t pid) {
  Lines lines;
  std::ifstream file(absl::StrCat("/proc/", pid, "/mountinfo"));
  for (std::string line; std::getline(file, line);) {
    const std::vector<std::string> words = absl::StrSplit(line, ' ');
    const auto dash = std::find(words.begin(), words.end(), "-");
    if (words.size() < 6 || words.end() - dash < 3) continue;
    lines.insert(absl::StrCat(words[4], " ", *(dash + 1), " ", *(dash + 2),
                              " root ", words[3]));
  }
  return lines;
}

// Interfaces of the network namespace of `pid`. A thread that calls setns is
// born for it and dies after it.
Lines Links(pid_t pid) {
  Lines lines;
  std::thread([&lines, pid] {
    const int netns = open(absl::StrCat("/proc/", pid, "/ns/net").c_str(),
                           O_RDONLY | O_CLOEXEC);
    if (netns < 0 || setns(netns, CLONE_NEWNET) != 0) {
      if (netns >= 0) close(netns);
      return;
    }
    close(netns);
    struct if_nameindex* const links = if_nameindex();
    for (auto* link = links; link != nullptr && link->if_index != 0; ++link) {
      lines.insert(link->if_name);
    }
    if (links != nullptr) if_freenameindex(links);
  }).join();
  return lines;
}

void AddTree(const fs::path& directory, const std::string& shown, int depth,
             bool only_directories, Lines& lines) {
  std::error_code error;
  fs::directory_iterator entries(directory, error);
  for (; !error && entries != fs::directory_iterator();
       entries.increment(error)) {
    const bool is_directory =
        entries->is_directory(error) && !entries->is_symlink(error);
    if (only_directories && !is_directory) continue;
    const std::string name =
        absl::StrCat(shown, "/", entries->path().filename().string());
    lines.insert(name);
    if (is_directory && depth > 1) {
      AddTree(entries->path(), name, depth - 1, only_directories, lines);
    }
  }
}

Lines Cgroups(const std::vector<std::string>& parents) {
  Lines lines;
  for (const std::string& parent : parents) {
    const std::string path = parent == "/" ? "" : parent;
    AddTree(V2Root() + path, path, 64, /*only_directories=*/true, lines);
  }
  return lines;
}

std::set<pid_t> PidsInCgroups(const std::vector<std::string>& parents) {
  std::set<pid_t> pids;
  std::vector<std::string> paths = parents;
  for (const std::string& path : Cgroups(parents)) paths.push_back(path);
  for (const std::string& path : paths) {
    std::ifstream file(V2Root() + path + "/cgroup.procs");
    for (pid_t pid = 0; file >> pid;) pids.insert(pid);
  }
  return pids;
}

// Scopes that systemd knows, in whatever state.
Lines Units(const InvariantOptions& options) {
  Lines lines;
  if (!fs::exists("/run/systemd/system")) return lines;
  if (!options.whole_machine && options.cgroup_parents.empty()) return lines;
  FILE* pipe = popen(
      "systemctl list-units --all --plain --no-legend 'pinion-*.scope'", "r");
  if (pipe == nullptr) return lines;
  char line[1024];
  while (fgets(line, sizeof(line), pipe) != nullptr) {
    const std::vector<std::string> words =
        absl::StrSplit(line, absl::ByAnyChar(" \n"), absl::SkipEmpty());
    if (words.size() > 2) lines.insert(absl::StrCat(words[0], " ", words[2]));
  }
  pclose(pipe);
  return lines;
}

Lines NetworkNamespaces(const InvariantOptions& options,
                        const std::set<pid_t>& related,
                        const std::map<pid_t, Process>& processes) {
  // Told apart by inode; the caller's own is no leak, whoever is in it.
  std::set<std::string> namespaces;
  for (const auto& [pid, process] : processes) {
    if (!options.whole_machine && related.count(pid) == 0) continue;
    const std::string link = ProcLink(pid, "ns/net");
    if (!link.empty()) namespaces.insert(link);
  }
  Lines lines(namespaces.begin(), namespaces.end());
  if (options.whole_machine) {
    AddTree("/run/netns", "/run/netns", 1, false, lines);
  }
  return lines;
}

// Monitors that have something below the state directory open: their socket
// or their log, even if those were deleted meanwhile.
Lines Monitors(const std::string& state_dir,
               const std::map<pid_t, Process>& processes) {
  Lines lines;
  if (state_dir.empty()) return lines;
  for (const auto& [pid, process] : processes) {
    const std::string command = CommandLine(pid);
    if (command.rfind("pinion-monitor", 0) != 0) continue;
    std::vector<std::string> places = OpenFiles(pid);
    places.push_back(ProcLink(pid, "cwd"));
    const bool ours = std::any_of(places.begin(), places.end(),
                                  [&state_dir](const std::string& place) {
                                    return place.rfind(state_dir + "/", 0) == 0;
                                  });
    if (ours) lines.insert(command);
  }
  return lines;
}

Lines Zombies(pid_t parent, const std::map<pid_t, Process>& processes) {
  Lines lines;
  for (const auto& [pid, process] : processes) {
    if (process.parent == parent && process.state == 'Z') {
      lines.insert(process.name);
    }
  }
  return lines;
}

// How many lines of a pool may be new.
int Slack(const std::string& category, const InvariantOptions& options) {
  if (category == "fd") return options.fd_slack;
  if (category == "thread") return options.thread_slack;
  return 0;
}

bool MayShrink(const std::string& category) {
  return category == "fd" || category == "thread" || category == "zombie";
}

// The lines of `a` that `b` has not, as often as it has them not.
std::vector<std::string> Without(const Lines& a, const Lines& b) {
  std::vector<std::string> result;
  std::set_difference(a.begin(), a.end(), b.begin(), b.end(),
                      std::back_inserter(result));
  return result;
}

const Lines& LinesOf(const Snapshot& snapshot, const std::string& category) {
  static const Lines none;
  const auto found = snapshot.find(category);
  return found == snapshot.end() ? none : found->second;
}

std::string Escape(const std::string& text) {
  std::string result;
  for (const char c : text) {
    if (c == '\n') {
      result += "\\n";
    } else if (c == '\\') {
      result += "\\\\";
    } else {
      result += c;
    }
  }
  return result;
}

std::string Unescape(const std::string& text) {
  std::string result;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 1 < text.size()) {
      ++i;
      result += text[i] == 'n' ? '\n' : text[i];
    } else {
      result += text[i];
    }
  }
  return result;
}

}  // namespace

Snapshot TakeSnapshot(const InvariantOptions& options) {
  const pid_t viewer = options.pid > 0 ? options.pid : getpid();
  const std::map<pid_t, Process> processes = AllProcesses();
  std::set<pid_t> roots = {getpid(), viewer};
  roots.merge(PidsInCgroups(options.cgroup_parents));
  const std::set<pid_t> related = Descendants(processes, roots);

  Snapshot snapshot;
  snapshot["mount"] = Mounts(viewer);
  snapshot["link"] = Links(viewer);
  snapshot["netns"] = NetworkNamespaces(options, related, processes);
  snapshot["cgroup"] = Cgroups(options.cgroup_parents);
  snapshot["unit"] = Units(options);
  for (const std::string& tree : options.trees) {
    AddTree(tree, tree, kTreeDepth, false, snapshot["file"]);
  }
  snapshot["monitor"] = Monitors(options.state_dir, processes);
  if (options.pid > 0) {
    for (std::string& file : OpenFiles(options.pid)) {
      snapshot["fd"].insert(std::move(file));
    }
    for (std::string& thread : Threads(options.pid)) {
      snapshot["thread"].insert(std::move(thread));
    }
    snapshot["zombie"] = Zombies(options.pid, processes);
  }
  for (const auto& [category, list] : options.extra) {
    for (std::string& line : list()) {
      snapshot[category].insert(std::move(line));
    }
  }
  return snapshot;
}

std::string Diff(const Snapshot& before, const Snapshot& after,
                 const InvariantOptions& options) {
  std::set<std::string> categories;
  for (const auto& [category, lines] : before) categories.insert(category);
  for (const auto& [category, lines] : after) categories.insert(category);
  std::string report;
  for (const std::string& category : categories) {
    const Lines& was = LinesOf(before, category);
    const Lines& is = LinesOf(after, category);
    const bool too_many =
        is.size() > was.size() + static_cast<size_t>(Slack(category, options));
    // In a pool with slack only the number counts.
    if (Slack(category, options) == 0 || too_many) {
      for (const std::string& line : Without(is, was)) {
        absl::StrAppend(&report, "+ ", category, " ", line, "\n");
      }
    }
    if (MayShrink(category)) continue;
    for (const std::string& line : Without(was, is)) {
      absl::StrAppend(&report, "- ", category, " ", line, "\n");
    }
  }
  return report;
}

std::string AwaitBaseline(const Snapshot& before,
                          const InvariantOptions& options,
                          std::chrono::milliseconds timeout) {
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  std::chrono::milliseconds interval(2);
  while (true) {
    std::string report = Diff(before, TakeSnapshot(options), options);
    if (report.empty() || std::chrono::steady_clock::now() >= deadline) {
      return report;
    }
    std::this_thread::sleep_for(interval);
    interval = std::min(interval * 2, std::chrono::milliseconds(250));
  }
}

std::string ToText(const Snapshot& snapshot) {
  std::string text;
  for (const auto& [category, lines] : snapshot) {
    for (const std::string& line : lines) {
      absl::StrAppend(&text, category, "\t", Escape(line), "\n");
    }
  }
  return text;
}

absl::StatusOr<Snapshot> FromText(const std::string& text) {
  Snapshot snapshot;
  for (const absl::string_view line :
       absl::StrSplit(text, '\n', absl::SkipEmpty())) {
    const std::pair<std::string, std::string> parts =
        absl::StrSplit(line, absl::MaxSplits('\t', 1));
    if (line.find('\t') == absl::string_view::npos || parts.first.empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat("\"", line, "\" is no line of a snapshot"));
    }
    snapshot[parts.first].insert(Unescape(parts.second));
  }
  return snapshot;
}

InvariantGuard::~InvariantGuard() {
  const std::string report = AwaitBaseline(before_, options_, timeout_);
  if (!report.empty()) {
    ADD_FAILURE() << "invariant L: not as before\n" << report;
  }
}

void InvariantListener::OnTestStart(const ::testing::TestInfo&) {
  guard_ = std::make_unique<InvariantGuard>(options_);
}

void InvariantListener::OnTestEnd(const ::testing::TestInfo&) {
  guard_.reset();
}

}  // namespace pinion::testing_support
