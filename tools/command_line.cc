#include "tools/command_line.h"

#include "absl/strings/str_cat.h"

namespace pinion::tools {
namespace {

struct TextFlag {
  const char* name;
  std::string CommandLine::*member;
};
constexpr TextFlag kTextFlags[] = {
    {"--root", &CommandLine::root},
    {"--state", &CommandLine::state},
    {"--socket", &CommandLine::socket},
    {"--config", &CommandLine::config},
    {"--image", &CommandLine::image},
    {"--sort", &CommandLine::sort},
    {"--interval", &CommandLine::interval},
    {"--timeout", &CommandLine::timeout},
    {"--query", &CommandLine::query},
};
struct Switch {
  const char* name;
  bool CommandLine::*member;
};
constexpr Switch kSwitches[] = {
    {"--json", &CommandLine::json},
    {"--help", &CommandLine::help},
    {"-h", &CommandLine::help},
    {"--version", &CommandLine::version},
    {"--keep", &CommandLine::keep},
    {"--once", &CommandLine::once},
    {"--containers", &CommandLine::containers},
    {"-c", &CommandLine::containers},
};

// The index after what was used, or 0 if words[at] is no such flag.
absl::StatusOr<size_t> TakeFlag(const std::vector<std::string>& words,
                                size_t at, CommandLine* line) {
  for (const Switch& flag : kSwitches) {
    if (words[at] == flag.name) {
      line->*flag.member = true;
      return at + 1;
    }
  }
  const size_t equals = words[at].find('=');
  for (const TextFlag& flag : kTextFlags) {
    if (words[at].substr(0, equals) != flag.name) continue;
    if (equals != std::string::npos) {
      line->*flag.member = words[at].substr(equals + 1);
      return at + 1;
    }
    if (at + 1 == words.size()) {
      return absl::InvalidArgumentError(
          absl::StrCat(flag.name, " needs a value"));
    }
    line->*flag.member = words[at + 1];
    return at + 2;
  }
  return absl::InvalidArgumentError(
      absl::StrCat("unknown flag ", words[at], " (see pinionctl help)"));
}

}  // namespace

absl::StatusOr<CommandLine> ParseCommandLine(
    const std::vector<std::string>& words) {
  CommandLine line;
  bool flags_end = false;
  for (size_t i = 0; i < words.size();) {
    if (!flags_end && words[i] == "--") {
      flags_end = true;
      ++i;
    } else if (!flags_end && words[i].size() > 1 && words[i][0] == '-') {
      const auto next = TakeFlag(words, i, &line);
      if (!next.ok()) return next.status();
      i = *next;
    } else if (line.command.empty()) {
      line.command = words[i++];
    } else {
      line.arguments.push_back(words[i++]);
    }
  }
  return line;
}

std::string UsageText() {
  return "pinionctl: what crictl has no word for\n"
         "\n"
         "  pinionctl doctor                   can pods run here, and if not, "
         "what to do\n"
         "  pinionctl cpus                     whose CPUs are whose: nodes, "
         "cores, pools\n"
         "  pinionctl ips                      who holds which address\n"
         "  pinionctl net POD                  a pod's network, tried out: "
         "why what fails fails\n"
         "  pinionctl timeline POD             the phases of a pod's start, as "
         "bars\n"
         "  pinionctl top [POD]                what pods use: CPU, memory, "
         "pressure\n"
         "  pinionctl image import FILE [REF]  an OCI archive, without a "
         "registry\n"
         "  pinionctl demo [--image REF]       a real image in a real pod, "
         "beside\n"
         "                                     whatever runs here; leaves "
         "nothing\n"
         "\n"
         "POD is an id, the beginning of one, or NAMESPACE/NAME.\n"
         "\n"
         "  --json           for programs\n"
         "  --config FILE    piniond's configuration "
         "(/etc/pinion/pinion.toml)\n"
         "  --root DIR, --state DIR, --socket PATH\n"
         "                   instead of the configuration's\n"
         "  --keep           demo: leave the scratch directory\n"
         "  --containers, -c top: a line for each container too\n"
         "  --sort KEY       top: cpu, memory, throttled, pressure, pids, "
         "name\n"
         "  --interval SEC   top: how long is measured, and how often (2)\n"
         "  --once           top: one table, no screen; so without a "
         "terminal\n"
         "  --query NAME     net: what DNS is asked for\n"
         "  --timeout SEC    net: how long is tried (3)\n"
         "  --help, --version\n"
         "\n"
         "Exit code: 0 fine, 1 something is not, 2 not understood.\n";
}

}  // namespace pinion::tools
