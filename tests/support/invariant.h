// Invariant L (docs/testing.md): after everything was removed, the machine is
// as it was before. A snapshot lists what pinion could leave behind, in lines
// that stay the same as long as the thing does; a comparison of two names
// every line that is new or gone.
//
//   InvariantOptions what;                      // or the listener below
//   what.cgroup_parents = {"/pn-test-1"};
//   const auto before = TakeSnapshot(what);
//   …
//   EXPECT_EQ(AwaitBaseline(*before, what), "");
//
// By default only processes that have to do with the test are looked at (the
// caller, options.pid, their descendants, whatever is in the cgroups), so that
// tests can run side by side; `whole_machine` looks at all, for machines of
// our own.
//
// Thread-safe; needs root.

#ifndef PINION_TESTS_SUPPORT_INVARIANT_H_
#define PINION_TESTS_SUPPORT_INVARIANT_H_

#include <gtest/gtest.h>
#include <sys/types.h>

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace pinion::testing_support {

struct InvariantOptions {
  // Paths below the v2 root ("/pn-test-1"), with everything below them. "/":
  // the whole hierarchy. A parent itself is not listed.
  std::vector<std::string> cgroup_parents;
  // Directories whose entries, three levels deep, are listed: layers, writable
  // layers, pods' state. A root that is missing has none.
  std::vector<std::string> trees;
  // The daemon: its descriptors, threads, zombie children, and the mounts and
  // links it sees. 0: none; mounts and links are the caller's.
  pid_t pid = 0;
  // Descriptors and threads (of pools that grow under load) that may be more
  // than before.
  int fd_slack = 0;
  int thread_slack = 0;
  // Monitors that have this directory open are listed; empty: none.
  std::string state_dir;
  // Every network namespace and every pinion-*.scope of the machine, not only
  // those that have to do with the test.
  bool whole_machine = false;
  // More to list, by category: occupied IPAM slots, say.
  std::map<std::string, std::function<std::vector<std::string>()>> extra;
};

// Lines by category: "mount", "netns", "link", "cgroup", "unit", "file", "fd",
// "thread", "zombie", "monitor", and those of `extra`.
using Snapshot = std::map<std::string, std::multiset<std::string>>;

Snapshot TakeSnapshot(const InvariantOptions& options);

// Empty if `after` is as `before`; else one line per difference, "+" new, "-"
// gone. Descriptors and threads may become fewer.
std::string Diff(const Snapshot& before, const Snapshot& after,
                 const InvariantOptions& options = {});

// Looks again and again, at growing intervals, until there is no difference or
// the time is over (there is no event for all of this); the last difference.
std::string AwaitBaseline(
    const Snapshot& before, const InvariantOptions& options,
    std::chrono::milliseconds timeout = std::chrono::seconds(60));

// One "category<TAB>line" a line, for files of pinion-invariant.
std::string ToText(const Snapshot& snapshot);
absl::StatusOr<Snapshot> FromText(const std::string& text);

// Checks the invariant around a scope: the difference is a test failure.
class InvariantGuard {
 public:
  explicit InvariantGuard(
      InvariantOptions options,
      std::chrono::milliseconds timeout = std::chrono::seconds(60))
      : options_(std::move(options)),
        timeout_(timeout),
        before_(TakeSnapshot(options_)) {}
  ~InvariantGuard();
  InvariantGuard(const InvariantGuard&) = delete;
  InvariantGuard& operator=(const InvariantGuard&) = delete;

 private:
  const InvariantOptions options_;
  const std::chrono::milliseconds timeout_;
  const Snapshot before_;
};

// Checks it around every test of a program; in main():
//   testing::UnitTest::GetInstance()->listeners().Append(
//       new InvariantListener(options));
class InvariantListener : public ::testing::EmptyTestEventListener {
 public:
  explicit InvariantListener(InvariantOptions options)
      : options_(std::move(options)) {}
  void OnTestStart(const ::testing::TestInfo&) override;
  void OnTestEnd(const ::testing::TestInfo&) override;

 private:
  const InvariantOptions options_;
  std::unique_ptr<InvariantGuard> guard_;
};

}  // namespace pinion::testing_support

#endif  // PINION_TESTS_SUPPORT_INVARIANT_H_
