// Runs CNI plugins: programs that are told what to do by their environment and
// standard input.
//
// Thread-safe. A call blocks until the program has ended.

#ifndef PINION_NETWORK_CNI_PLUGIN_H_
#define PINION_NETWORK_CNI_PLUGIN_H_

#include <chrono>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace pinion::network::cni {

// CNI_* of the specification.
struct PluginCall {
  std::string command;
  std::string container_id;
  // A path; empty if the namespace is gone.
  std::string netns;
  std::string interface_name;
  // "KEY=VALUE;…"
  std::string arguments;
};

// The program of that name in the first directory that has it. NotFound with
// the directories.
absl::StatusOr<std::string> FindPlugin(
    const std::vector<std::string>& directories, const std::string& type);

// What it wrote to its standard output. A failure is the plugin's error; one
// that has not ended at `limit` is killed: DeadlineExceeded. At most 1 MiB is
// taken of what it writes.
absl::StatusOr<std::string> RunPlugin(
    const std::string& program, const std::vector<std::string>& directories,
    const PluginCall& call, const std::string& input,
    std::chrono::steady_clock::time_point limit);

}  // namespace pinion::network::cni

#endif  // PINION_NETWORK_CNI_PLUGIN_H_
