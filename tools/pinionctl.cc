// pinionctl: what crictl has no word for. `pinionctl help` lists it.

#include <cstdio>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/build_info.h"
#include "os/standard_output.h"
#include "tools/command_line.h"
#include "tools/commands.h"
#include "tools/demo.h"

namespace pinion::tools {
namespace {

struct Command {
  const char* name;
  absl::StatusOr<int> (*run)(const CommandLine&);
};
constexpr Command kCommands[] = {{"doctor", RunDoctor},     {"cpus", RunCpus},
                                 {"ips", RunIps},           {"net", RunNet},
                                 {"timeline", RunTimeline}, {"top", RunTop},
                                 {"image", RunImage},       {"demo", RunDemo}};

int Complain(const absl::Status& status) {
  std::fprintf(stderr, "pinionctl: %s\n",
               std::string(status.message()).c_str());
  return absl::IsInvalidArgument(status) ? 2 : 1;
}

// What was printed is written when the buffer is full, or now.
int Finish(int code) {
  const absl::Status flushed = os::FlushStandardOutput();
  if (flushed.ok()) return code;
  const int complaint = Complain(flushed);
  return code == 0 ? complaint : code;
}

int Run(const std::vector<std::string>& words) {
  const auto line = ParseCommandLine(words);
  if (!line.ok()) return Complain(line.status());
  if (line->version) {
    std::printf("pinionctl %s (%s)\n", kVersion, kCommit);
    return 0;
  }
  if (line->help || line->command == "help" || line->command.empty()) {
    std::fputs(UsageText().c_str(), stdout);
    return line->help || line->command == "help" ? 0 : 2;
  }
  for (const Command& command : kCommands) {
    if (line->command != command.name) continue;
    const auto code = command.run(*line);
    return code.ok() ? *code : Complain(code.status());
  }
  return Complain(absl::InvalidArgumentError(absl::StrCat(
      "unknown command ", line->command, " (see pinionctl help)")));
}

int Main(const std::vector<std::string>& words) { return Finish(Run(words)); }

}  // namespace
}  // namespace pinion::tools

int main(int argc, char** argv) {
  return pinion::tools::Main(std::vector<std::string>(argv + 1, argv + argc));
}
