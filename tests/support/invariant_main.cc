// pinion-invariant: invariant L for shell tests.
//
//   pinion-invariant snapshot FILE [flags]
//   pinion-invariant check FILE [flags]      waits up to --timeout seconds
//
// The same flags both times. Exit codes: 0 as before, 1 not (the differences
// on standard output), 2 wrong usage.

#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <functional>
#include <iostream>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "os/file.h"
#include "tests/support/invariant.h"

namespace pinion::testing_support {
namespace {

constexpr char kUsage[] =
    R"(pinion-invariant snapshot FILE [flags]   writes what there is now
pinion-invariant check FILE [flags]      waits until it is so again
  --cgroup PATH     below the v2 root, with everything below (repeatable)
  --tree DIR        directory whose entries are listed (repeatable)
  --pid N           the daemon: descriptors, threads, zombies
  --state DIR       monitors that have something in it open
  --fd-slack N, --thread-slack N
  --command CMD     each line that CMD prints (repeatable)
  --whole-machine   every network namespace and every pinion unit
  --timeout S       check: at most so long (10)
)";

std::vector<std::string> OutputLines(const std::string& command) {
  std::vector<std::string> lines;
  FILE* pipe = popen(command.c_str(), "r");
  if (pipe == nullptr) return {"cannot run " + command};
  std::string line;
  for (int c = fgetc(pipe); c != EOF; c = fgetc(pipe)) {
    if (c != '\n') {
      line.push_back(static_cast<char>(c));
      continue;
    }
    lines.push_back(line);
    line.clear();
  }
  if (!line.empty()) lines.push_back(line);
  if (pclose(pipe) != 0) lines.push_back("failed: " + command);
  return lines;
}

struct Arguments {
  std::string verb;
  std::string file;
  InvariantOptions options;
  int timeout_seconds = 10;
};

bool Parse(const std::vector<std::string>& words, Arguments* arguments) {
  if (words.size() < 2) return false;
  arguments->verb = words[0];
  arguments->file = words[1];
  InvariantOptions& options = arguments->options;
  const auto number = [](int* into) {
    return [into](const std::string& text) {
      return absl::SimpleAtoi(text, into) && *into >= 0;
    };
  };
  const auto list = [](std::vector<std::string>* into) {
    return [into](const std::string& text) {
      into->push_back(text);
      return true;
    };
  };
  const std::map<std::string, std::function<bool(const std::string&)>> flags = {
      {"--cgroup", list(&options.cgroup_parents)},
      {"--tree", list(&options.trees)},
      {"--pid", number(&options.pid)},
      {"--fd-slack", number(&options.fd_slack)},
      {"--thread-slack", number(&options.thread_slack)},
      {"--timeout", number(&arguments->timeout_seconds)},
      {"--state",
       [&options](const std::string& text) {
         options.state_dir = text;
         return true;
       }},
      {"--command", [&options](const std::string& text) {
         options.extra["output of " + text] = [text] {
           return OutputLines(text);
         };
         return true;
       }}};
  for (size_t i = 2; i < words.size(); ++i) {
    if (words[i] == "--whole-machine") {
      options.whole_machine = true;
      continue;
    }
    const auto flag = flags.find(words[i]);
    if (flag == flags.end() || i + 1 >= words.size() ||
        !flag->second(words[++i])) {
      std::cerr << "pinion-invariant: " << words[i] << "\n";
      return false;
    }
  }
  return arguments->verb == "snapshot" || arguments->verb == "check";
}

int Main(const std::vector<std::string>& words) {
  Arguments arguments;
  if (!Parse(words, &arguments)) {
    std::cerr << kUsage;
    return 2;
  }
  if (arguments.verb == "snapshot") {
    std::ofstream file(arguments.file);
    file << ToText(TakeSnapshot(arguments.options));
    file.close();
    if (file.good()) return 0;
    std::cerr << "pinion-invariant: cannot write " << arguments.file << "\n";
    return 2;
  }
  const auto text = os::ReadFileAt(AT_FDCWD, arguments.file, size_t{64} << 20);
  const auto before =
      text.ok() ? FromText(*text) : absl::StatusOr<Snapshot>(text.status());
  if (!before.ok()) {
    std::cerr << "pinion-invariant: " << before.status() << "\n";
    return 2;
  }
  const std::string report =
      AwaitBaseline(*before, arguments.options,
                    std::chrono::seconds(arguments.timeout_seconds));
  std::cout << report;
  return report.empty() ? 0 : 1;
}

}  // namespace
}  // namespace pinion::testing_support

int main(int argc, char** argv) {
  return pinion::testing_support::Main(
      std::vector<std::string>(argv + 1, argv + argc));
}
