#include "tests/support/invariant_processes.h"

#include <unistd.h>

#include <algorithm>
#include <climits>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <system_error>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace pinion::testing_support {
namespace {

namespace fs = std::filesystem;

std::string ReadAll(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

std::vector<std::string> Names(const std::string& directory) {
  std::vector<std::string> names;
  std::error_code error;
  fs::directory_iterator entries(directory, error);
  for (; !error && entries != fs::directory_iterator();
       entries.increment(error)) {
    names.push_back(entries->path().filename().string());
  }
  return names;
}

// "socket:[123]" is "socket", "net:[4026531840]" is "net"; paths stay, but a
// file that was replaced by its writer is "(deleted)" under its own name.
std::string WithoutNumber(const std::string& target) {
  const size_t bracket = target.find(":[");
  const bool number = bracket != std::string::npos &&
                      bracket + 2 < target.size() &&
                      target[bracket + 2] >= '0' && target[bracket + 2] <= '9';
  return number && target[0] != '/' ? target.substr(0, bracket) : target;
}

}  // namespace

std::map<pid_t, Process> AllProcesses() {
  std::map<pid_t, Process> processes;
  for (const std::string& name : Names("/proc")) {
    Process process;
    if (!absl::SimpleAtoi(name, &process.pid)) continue;
    const std::string stat = ReadAll("/proc/" + name + "/stat");
    // The name may hold anything, also spaces and brackets: up to the last.
    const size_t open = stat.find('(');
    const size_t close = stat.rfind(')');
    if (open == std::string::npos || close == std::string::npos) continue;
    process.name = stat.substr(open + 1, close - open - 1);
    std::istringstream rest(stat.substr(close + 1));
    rest >> process.state >> process.parent;
    processes[process.pid] = process;
  }
  return processes;
}

std::set<pid_t> Descendants(const std::map<pid_t, Process>& processes,
                            const std::set<pid_t>& roots) {
  std::set<pid_t> found = roots;
  for (bool grown = true; grown;) {
    grown = false;
    for (const auto& [pid, process] : processes) {
      if (found.count(process.parent) != 0 && found.insert(pid).second) {
        grown = true;
      }
    }
  }
  return found;
}

std::string ProcLink(pid_t pid, const std::string& link) {
  char target[PATH_MAX];
  const std::string path = absl::StrCat("/proc/", pid, "/", link);
  const ssize_t n = readlink(path.c_str(), target, sizeof(target));
  return n < 0 ? "" : std::string(target, static_cast<size_t>(n));
}

std::vector<std::string> OpenFiles(pid_t pid) {
  std::vector<std::string> files;
  const std::string own = absl::StrCat("/proc/", pid, "/fd");
  for (const std::string& fd : Names(own)) {
    const std::string target = ProcLink(pid, "fd/" + fd);
    // The descriptor this very listing uses.
    if (!target.empty() && target != own) {
      files.push_back(WithoutNumber(target));
    }
  }
  return files;
}

std::vector<std::string> Threads(pid_t pid) {
  std::vector<std::string> threads;
  const std::string tasks = absl::StrCat("/proc/", pid, "/task");
  for (const std::string& tid : Names(tasks)) {
    std::string name = ReadAll(tasks + "/" + tid + "/comm");
    if (!name.empty()) name.pop_back();
    threads.push_back(name);
  }
  return threads;
}

std::string CommandLine(pid_t pid) {
  std::string text = ReadAll(absl::StrCat("/proc/", pid, "/cmdline"));
  while (!text.empty() && text.back() == '\0') text.pop_back();
  std::replace(text.begin(), text.end(), '\0', ' ');
  return text;
}

}  // namespace pinion::testing_support
