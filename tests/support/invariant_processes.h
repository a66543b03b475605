// What /proc says about processes, for invariant.cc.
//
// Thread-safe. What vanishes while it is looked at is left out.

#ifndef PINION_TESTS_SUPPORT_INVARIANT_PROCESSES_H_
#define PINION_TESTS_SUPPORT_INVARIANT_PROCESSES_H_

#include <sys/types.h>

#include <map>
#include <set>
#include <string>
#include <vector>

namespace pinion::testing_support {

struct Process {
  pid_t pid = 0;
  pid_t parent = 0;
  char state = '?';  // 'Z': zombie
  std::string name;  // comm
};

// Every process of the machine, by pid.
std::map<pid_t, Process> AllProcesses();

// `roots` with all their descendants.
std::set<pid_t> Descendants(const std::map<pid_t, Process>& processes,
                            const std::set<pid_t>& roots);

// What a link below /proc/<pid>/ points to ("fd/3", "ns/net", "cwd"); "".
std::string ProcLink(pid_t pid, const std::string& link);

// Every open descriptor's target, numbers of sockets and the like left out.
std::vector<std::string> OpenFiles(pid_t pid);

// Names of the threads.
std::vector<std::string> Threads(pid_t pid);

// The command line, words separated by spaces.
std::string CommandLine(pid_t pid);

}  // namespace pinion::testing_support

#endif  // PINION_TESTS_SUPPORT_INVARIANT_PROCESSES_H_
