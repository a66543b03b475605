#include "runtime/cgroup/limit_book.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "os/file.h"
#include "runtime/cgroup/cgroup_dir.h"
#include "runtime/cgroup/cpuset_files.h"
#include "runtime/cgroup/limit_table.h"

namespace pinion::cgroup {
namespace {

std::set<std::string> WithCompanions(const std::vector<std::string>& files) {
  std::set<std::string> all(files.begin(), files.end());
  for (const std::string& file : files) {
    for (std::string& other : ChangesWith(file)) all.insert(std::move(other));
  }
  return all;
}

bool AreFree(const BookedCgroup& cgroup, const std::set<std::string>& files)
    ABSL_SHARED_LOCKS_REQUIRED(cgroup.mutex) {
  for (const std::string& file : files) {
    if (cgroup.claimed.count(file) != 0) return false;
  }
  return true;
}

}  // namespace

FileClaim FileClaim::Wait(BookedCgroupPtr cgroup,
                          const std::vector<std::string>& files) {
  std::set<std::string> all = WithCompanions(files);
  const auto free = [&]() ABSL_NO_THREAD_SAFETY_ANALYSIS {
    return AreFree(*cgroup, all);
  };
  {
    const absl::MutexLock lock(&cgroup->mutex, absl::Condition(&free));
    cgroup->claimed.insert(all.begin(), all.end());
  }
  return FileClaim(std::move(cgroup), std::move(all));
}

FileClaim FileClaim::Try(BookedCgroupPtr cgroup,
                         const std::vector<std::string>& files) {
  std::set<std::string> all = WithCompanions(files);
  {
    const absl::MutexLock lock(&cgroup->mutex);
    if (!AreFree(*cgroup, all)) return FileClaim(nullptr, {});
    cgroup->claimed.insert(all.begin(), all.end());
  }
  return FileClaim(std::move(cgroup), std::move(all));
}

FileClaim::~FileClaim() {
  if (cgroup_ == nullptr) return;
  const absl::MutexLock lock(&cgroup_->mutex);
  for (const std::string& file : files_) cgroup_->claimed.erase(file);
}

void Note(BookedCgroup& cgroup,
          const std::map<std::string, std::string>& written) {
  for (const auto& [file, text] : written) cgroup.held[file] = text;
  if (written.count(kCpus) != 0) {
    cgroup.cpus_in_force = InForce(cgroup.dir.get(), kCpus).value_or(CpuSet());
  }
  for (const auto& [file, text] : written) {
    for (const std::string& other : ChangesWith(file)) {
      const auto held = cgroup.held.find(other);
      if (written.count(other) != 0 || held == cgroup.held.end()) continue;
      // Of two faces of one thing only one can be kept: each is rounded.
      const bool is_face = absl::StartsWith(file, "cpu.weight") &&
                           absl::StartsWith(other, "cpu.weight");
      auto now = os::ReadFileAt(cgroup.dir.get(), other);
      if (is_face || !now.ok()) {
        cgroup.held.erase(held);
      } else {
        held->second = *std::move(now);
      }
    }
  }
}

absl::StatusOr<BookedCgroupPtr> LimitBook::Enter(const std::string& path,
                                                 bool* made) {
  *made = false;
  if (BookedCgroupPtr known = Find(path)) return known;
  PINION_ASSIGN_OR_RETURN(os::UniqueFd dir, OpenCgroup(root_, path));
  auto entry = std::make_shared<BookedCgroup>(path, std::move(dir));
  const absl::MutexLock lock(&mutex_);
  const auto [at, inserted] = cgroups_.emplace(path, std::move(entry));
  *made = inserted;
  return at->second;
}

BookedCgroupPtr LimitBook::Find(const std::string& path) const {
  const absl::MutexLock lock(&mutex_);
  const auto found = cgroups_.find(path);
  return found == cgroups_.end() ? nullptr : found->second;
}

std::vector<BookedCgroupPtr> LimitBook::Forget(const std::string& path) {
  std::vector<BookedCgroupPtr> gone = Below(path);
  for (const BookedCgroupPtr& cgroup : gone) Forget(cgroup);
  return gone;
}

bool LimitBook::Forget(const BookedCgroupPtr& cgroup) {
  {
    const absl::MutexLock lock(&mutex_);
    const auto found = cgroups_.find(cgroup->path);
    if (found == cgroups_.end() || found->second != cgroup) return false;
    cgroups_.erase(found);
  }
  const absl::MutexLock lock(&cgroup->mutex);
  cgroup->forgotten = true;
  return true;
}

std::vector<BookedCgroupPtr> LimitBook::Below(const std::string& path) const {
  const absl::MutexLock lock(&mutex_);
  std::vector<BookedCgroupPtr> found;
  const std::string below = absl::StrCat(path, "/");
  for (auto at = cgroups_.lower_bound(path); at != cgroups_.end(); ++at) {
    if (!absl::StartsWith(at->first, path)) break;
    // "/a-b" sorts between "/a" and "/a/b".
    if (path.empty() || at->first == path ||
        absl::StartsWith(at->first, below)) {
      found.push_back(at->second);
    }
  }
  return found;
}

}  // namespace pinion::cgroup
