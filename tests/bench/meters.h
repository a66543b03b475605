// What the benchmarks read of the machine: CPU time of all of it and of one
// runtime's processes, memory, and samples that become a line of JSON.
//
// A runtime under test is a *tree*: its daemon was started in a cgroup named,
// say, /pn-bench-7/pinion, and its pods' cgroups are below that. So what
// belongs to it is told by /proc/PID/cgroup, whatever the processes are
// called, and its CPU time is the kernel's own sum over that cgroup.
//
// Not thread-safe. Linux only; cgroup v1 (cpuacct) or v2.

#ifndef PINION_TESTS_BENCH_METERS_H_
#define PINION_TESTS_BENCH_METERS_H_

#include <chrono>
#include <string>
#include <vector>

namespace pinion::bench {

// Prints "PROGRAM: WHAT" on standard error and ends the program with 1.
[[noreturn]] void Fail(const std::string& what);

std::vector<std::string> SplitAtCommas(const std::string& text);

// Milliseconds of CPU time since it was made.
class CpuMeter {
 public:
  // An empty tree: only the machine is read.
  explicit CpuMeter(const std::string& tree);

  // All CPUs' busy time but this program's own. The root cpuacct cgroup's
  // counter where there is one: /proc/stat counts whole ticks (4 ms here).
  double MachineMs() const;
  double OwnMs() const;  // This program's own.
  // The tree's, in which no kernel thread is counted; 0 without a tree.
  double TreeMs() const;

 private:
  const std::string tree_file_;
  double machine_;
  double own_;
  double tree_;
};

// KiB of PSS (proc(5), smaps_rollup) of a tree's processes but those of the
// containers, which are told by their command name. The second is how many
// there are.
struct TreeMemory {
  long pss_kib = 0;
  int processes = 0;
};
TreeMemory MeasureTree(const std::string& tree,
                       const std::string& container_comm);

// KiB of VmRSS; 0 if there is no such process.
long ResidentKib(int pid);

class Stopwatch {
 public:
  Stopwatch() : start_(std::chrono::steady_clock::now()) {}
  double Ms() const {
    return std::chrono::duration<double, std::milli>(
               std::chrono::steady_clock::now() - start_)
        .count();
  }

 private:
  const std::chrono::steady_clock::time_point start_;
};

// One line of JSON on standard output: {"label": …, "what": …, fields…}.
class JsonLine {
 public:
  JsonLine(const std::string& label, const std::string& what);
  JsonLine(const JsonLine&) = delete;
  JsonLine& operator=(const JsonLine&) = delete;
  ~JsonLine();  // Prints it.

  JsonLine& Number(const std::string& name, double value);
  JsonLine& Numbers(const std::string& name, const std::vector<double>& values);

 private:
  std::string text_;
};

}  // namespace pinion::bench

#endif  // PINION_TESTS_BENCH_METERS_H_
