#include "runtime/cgroup/write_origin.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "os/file.h"
#include "runtime/cgroup/limit_table.h"

namespace pinion::cgroup {
namespace {

// Every limit file of 540 cgroups; beyond, it is made anew.
constexpr size_t kMostKnown = size_t{1} << 15;

ino_t InodeOf(const BookedCgroup& cgroup, const std::string& file) {
  struct stat st = {};
  return fstatat(cgroup.dir.get(), file.c_str(), &st, 0) == 0 ? st.st_ino : 0;
}

}  // namespace

Writer Describe(pid_t pid) {
  Writer writer;
  if (pid <= 0) return writer;
  const std::string dir = absl::StrCat("/proc/", pid, "/");
  const auto name = os::ReadFileAt(AT_FDCWD, dir + "comm");
  writer.process = absl::StrCat(
      name.ok() ? std::string(absl::StripAsciiWhitespace(*name)) : "ended",
      " (", pid, ")");
  const auto cgroups = os::ReadFileAt(AT_FDCWD, dir + "cgroup");
  for (const absl::string_view line :
       absl::StrSplit(cgroups.value_or(""), '\n')) {
    if (absl::StartsWith(line, "0::")) {
      writer.cgroup = std::string(line.substr(3));
    }
  }
  return writer;
}

Writer WriterOf(const Writers& writers, const std::string& file) {
  std::vector<std::string> files = ChangesWith(file);
  files.insert(files.begin(), file);
  files.emplace_back(kControl);
  for (const std::string& written : files) {
    const auto by = writers.find(written);
    if (by != writers.end()) return by->second;
  }
  return {};
}

WriteOrigin::Place WriteOrigin::Find(const os::FileWrite& write) {
  Place place;
  const size_t slash = write.path.rfind('/');
  if (slash == std::string::npos) return place;
  place.file = write.path.substr(slash + 1);
  if (absl::StartsWith(write.path, book_.root())) {
    place.cgroup = book_.Find(
        write.path.substr(book_.root().size(), slash - book_.root().size()));
    if (place.cgroup != nullptr &&
        InodeOf(*place.cgroup, place.file) == write.inode) {
      return place;
    }
  }
  place.cgroup = Search(place.file, write.inode, &place.missed);
  return place;
}

BookedCgroupPtr WriteOrigin::Search(const std::string& file, ino_t inode,
                                    bool* missed) {
  const auto known = known_.find(inode);
  if (known != known_.end()) {
    if (BookedCgroupPtr cgroup = known->second.lock()) return cgroup;
  }
  const auto now = std::chrono::steady_clock::now();
  if (searched_ && now - *searched_ < search_every_) {
    *missed = true;
    return nullptr;
  }
  searched_ = now;
  if (known_.size() >= kMostKnown) known_.clear();
  BookedCgroupPtr found;
  for (const BookedCgroupPtr& cgroup : book_.Below("")) {
    const ino_t its = InodeOf(*cgroup, file);
    if (its == 0) continue;
    known_[its] = cgroup;
    if (its == inode) found = cgroup;
  }
  return found;
}

}  // namespace pinion::cgroup
