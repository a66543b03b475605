#include "tests/bench/meters.h"

#include <errno.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace pinion::bench {
namespace {

constexpr char kCpuacct[] = "/sys/fs/cgroup/cpuacct";

// The number after `name` in a file of "name number" lines; -1 if absent.
double Field(const std::string& path, const std::string& name) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (line.rfind(name, 0) == 0) return std::atof(line.c_str() + name.size());
  }
  return -1;
}

double FirstNumber(const std::string& path) {
  std::ifstream file(path);
  double value = 0;
  file >> value;
  return value;
}

// Busy time of all CPUs by /proc/stat, in milliseconds.
double BusyTicksMs() {
  std::ifstream stat("/proc/stat");
  std::string word;
  stat >> word;
  double total = 0;
  for (int field = 0; field < 8; ++field) {
    double ticks = 0;
    stat >> ticks;
    if (field != 3 && field != 4) total += ticks;  // idle, iowait
  }
  return total * 1000 / static_cast<double>(sysconf(_SC_CLK_TCK));
}

double MachineCpuMs() {
  const std::string root = std::string(kCpuacct) + "/cpuacct.usage";
  if (access(root.c_str(), R_OK) == 0) return FirstNumber(root) * 1e-6;
  return BusyTicksMs();
}

double OwnCpuMs() {
  rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  return 1e3 * static_cast<double>(usage.ru_utime.tv_sec +
                                   usage.ru_stime.tv_sec) +
         1e-3 * static_cast<double>(usage.ru_utime.tv_usec +
                                    usage.ru_stime.tv_usec);
}

std::string TreeFile(const std::string& tree) {
  if (tree.empty()) return "";
  const std::string v1 = kCpuacct + tree + "/cpuacct.usage";
  if (access(v1.c_str(), R_OK) == 0) return v1;
  const std::string v2 = "/sys/fs/cgroup" + tree + "/cpu.stat";
  if (access(v2.c_str(), R_OK) == 0) return v2;
  Fail("no cgroup " + tree + " that counts CPU time");
}

double TreeCpuMs(const std::string& file) {
  if (file.empty()) return 0;
  if (file.ends_with("/cpu.stat")) return Field(file, "usage_usec") * 1e-3;
  return FirstNumber(file) * 1e-6;
}

bool InTree(const std::filesystem::path& process, const std::string& tree) {
  std::ifstream file(process / "cgroup");
  for (std::string line; std::getline(file, line);) {
    // "5:cpuacct:/pn-bench-7/pinion/pods/…"
    const size_t path = line.find(":/");
    if (path == std::string::npos) continue;
    const std::string group = line.substr(path + 1) + "/";
    if (group.rfind(tree + "/", 0) == 0) return true;
  }
  return false;
}

}  // namespace

void Fail(const std::string& what) {
  std::fprintf(stderr, "%s: %s\n", program_invocation_short_name, what.c_str());
  std::exit(1);
}

std::vector<std::string> SplitAtCommas(const std::string& text) {
  std::vector<std::string> parts;
  std::stringstream stream(text);
  for (std::string part; std::getline(stream, part, ',');) {
    if (!part.empty()) parts.push_back(part);
  }
  return parts;
}

CpuMeter::CpuMeter(const std::string& tree)
    : tree_file_(TreeFile(tree)),
      machine_(MachineCpuMs()),
      own_(OwnCpuMs()),
      tree_(TreeCpuMs(tree_file_)) {}

double CpuMeter::MachineMs() const {
  return (MachineCpuMs() - machine_) - OwnMs();
}

double CpuMeter::OwnMs() const { return OwnCpuMs() - own_; }

double CpuMeter::TreeMs() const { return TreeCpuMs(tree_file_) - tree_; }

TreeMemory MeasureTree(const std::string& tree,
                       const std::string& container_comm) {
  TreeMemory memory;
  if (tree.empty()) return memory;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const std::string pid = entry.path().filename();
    if (pid.find_first_not_of("0123456789") != std::string::npos) continue;
    std::ifstream comm_file(entry.path() / "comm");
    std::string comm;
    std::getline(comm_file, comm);
    if (comm == container_comm || !InTree(entry.path(), tree)) continue;
    const double pss = Field(entry.path() / "smaps_rollup", "Pss:");
    if (pss < 0) continue;  // It ended meanwhile.
    memory.pss_kib += static_cast<long>(pss);
    ++memory.processes;
  }
  return memory;
}

long ResidentKib(int pid) {
  const double rss =
      Field("/proc/" + std::to_string(pid) + "/status", "VmRSS:");
  return rss < 0 ? 0 : static_cast<long>(rss);
}

JsonLine::JsonLine(const std::string& label, const std::string& what)
    : text_("{\"label\": \"" + label + "\", \"what\": \"" + what + "\"") {}

JsonLine::~JsonLine() {
  std::printf("%s}\n", text_.c_str());
  std::fflush(stdout);
}

JsonLine& JsonLine::Number(const std::string& name, double value) {
  char number[32];
  std::snprintf(number, sizeof(number), "%.4f", value);
  text_ += ", \"" + name + "\": " + number;
  return *this;
}

JsonLine& JsonLine::Numbers(const std::string& name,
                            const std::vector<double>& values) {
  text_ += ", \"" + name + "\": [";
  for (size_t i = 0; i < values.size(); ++i) {
    char number[32];
    std::snprintf(number, sizeof(number), "%s%.4f", i == 0 ? "" : ", ",
                  values[i]);
    text_ += number;
  }
  text_ += "]";
  return *this;
}

}  // namespace pinion::bench
