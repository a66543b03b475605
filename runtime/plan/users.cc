#include "runtime/plan/users.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/status_macros.h"

namespace pinion::plan {
namespace {

constexpr size_t kMaxFile = size_t{10} << 20;
constexpr int64_t kMaxId = std::numeric_limits<int32_t>::max();
// setgroups(2): NGROUPS_MAX.
constexpr size_t kMaxGroups = 65536;

struct PasswdEntry {
  std::string name;
  int64_t uid = 0;
  int64_t gid = 0;
  std::string home;
};

bool IsNumber(const std::string& text) {
  return !text.empty() &&
         text.find_first_not_of("0123456789") == std::string::npos;
}

bool ParseId(absl::string_view text, int64_t* id) {
  return IsNumber(std::string(text)) && absl::SimpleAtoi(text, id) &&
         *id <= kMaxId;
}

absl::StatusOr<int64_t> CheckId(int64_t id, const char* what) {
  if (id >= 0 && id <= kMaxId) return id;
  return absl::InvalidArgumentError(
      absl::StrCat(what, " ", id, " is outside 0 to ", kMaxId));
}

absl::StatusOr<int64_t> CheckId(const std::string& digits, const char* what) {
  int64_t id = 0;
  if (ParseId(digits, &id)) return id;
  return absl::InvalidArgumentError(
      absl::StrCat(what, " ", digits, " is outside 0 to ", kMaxId));
}

// The first entry that `matches`; lines that are malformed are no entries.
template <typename Matches>
std::optional<PasswdEntry> FindUser(const std::string& passwd,
                                    const Matches& matches) {
  for (absl::string_view line : absl::StrSplit(passwd, '\n')) {
    const std::vector<absl::string_view> f = absl::StrSplit(line, ':');
    PasswdEntry entry;
    if (f.size() < 6 || f[0].empty() || !ParseId(f[2], &entry.uid) ||
        !ParseId(f[3], &entry.gid)) {
      continue;
    }
    entry.name = std::string(f[0]);
    entry.home = std::string(f[5]);
    if (matches(entry)) return entry;
  }
  return std::nullopt;
}

// Calls `visit(name, gid, members)` for each entry until it returns true.
template <typename Visit>
void ForEachGroup(const std::string& group, const Visit& visit) {
  for (absl::string_view line : absl::StrSplit(group, '\n')) {
    const std::vector<absl::string_view> f = absl::StrSplit(line, ':');
    int64_t gid = 0;
    if (f.size() < 3 || f[0].empty() || !ParseId(f[2], &gid)) continue;
    if (visit(f[0], gid, f.size() > 3 ? f[3] : absl::string_view())) return;
  }
}

absl::StatusOr<int64_t> ResolveGroup(const std::string& text,
                                     const AccountFiles& files) {
  if (IsNumber(text)) return CheckId(text, "group");
  std::optional<int64_t> found;
  ForEachGroup(files.group, [&](absl::string_view name, int64_t gid,
                                absl::string_view /*members*/) {
    if (name == text) found = gid;
    return found.has_value();
  });
  if (found.has_value()) return *found;
  return absl::InvalidArgumentError(
      absl::StrCat("unknown group \"", text, "\" in the image"));
}

// A user by name or number: its entry, made up where a number has none.
absl::StatusOr<PasswdEntry> FindByText(const std::string& text,
                                       const AccountFiles& files) {
  PasswdEntry entry;
  if (IsNumber(text)) {
    PINION_ASSIGN_OR_RETURN(entry.uid, CheckId(text, "user"));
    const int64_t uid = entry.uid;
    return FindUser(files.passwd,
                    [uid](const PasswdEntry& e) { return e.uid == uid; })
        .value_or(entry);
  }
  auto found = FindUser(files.passwd,
                        [&](const PasswdEntry& e) { return e.name == text; });
  if (found.has_value()) return *std::move(found);
  return absl::InvalidArgumentError(
      absl::StrCat("user \"", text, "\": not in the image's /etc/passwd"));
}

// The request's or else the image's user, and the group that comes with it.
absl::StatusOr<PasswdEntry> Find(const UserQuery& query,
                                 const AccountFiles& files) {
  if (query.run_as_user.has_value()) {
    PINION_ASSIGN_OR_RETURN(const int64_t uid,
                            CheckId(*query.run_as_user, "user"));
    return FindByText(absl::StrCat(uid), files);
  }
  if (!query.run_as_username.empty()) {
    PINION_ASSIGN_OR_RETURN_AS(PasswdEntry entry,
                               FindByText(query.run_as_username, files),
                               "run_as_username");
    return entry;
  }
  const std::pair<std::string, std::string> parts =
      absl::StrSplit(query.image_user, absl::MaxSplits(':', 1));
  PINION_ASSIGN_OR_RETURN(
      PasswdEntry entry,
      FindByText(parts.first.empty() ? "0" : parts.first, files));
  if (!parts.second.empty()) {
    PINION_ASSIGN_OR_RETURN(entry.gid, ResolveGroup(parts.second, files));
  }
  return entry;
}

void AddGroup(int64_t gid, std::vector<gid_t>& groups) {
  const gid_t group = static_cast<gid_t>(gid);
  if (std::find(groups.begin(), groups.end(), group) == groups.end()) {
    groups.push_back(group);
  }
}

}  // namespace

absl::StatusOr<AccountFiles> ReadAccountFiles(const LayerStack& layers) {
  AccountFiles files;
  const std::pair<const char*, std::string*> wanted[] = {
      {"/etc/passwd", &files.passwd}, {"/etc/group", &files.group}};
  for (const auto& [path, text] : wanted) {
    absl::StatusOr<std::string> read = layers.ReadFile(path, kMaxFile);
    if (read.ok()) {
      *text = *std::move(read);
    } else if (!absl::IsNotFound(read.status())) {
      return read.status();
    }
  }
  return files;
}

absl::StatusOr<ResolvedUser> ResolveUser(const UserQuery& query,
                                         const AccountFiles& files) {
  const bool user_given =
      query.run_as_user.has_value() || !query.run_as_username.empty();
  if (query.run_as_group.has_value() && !user_given) {
    return absl::InvalidArgumentError(
        "run_as_group needs run_as_user or run_as_username");
  }
  PINION_ASSIGN_OR_RETURN(PasswdEntry entry, Find(query, files));
  if (query.run_as_group.has_value()) {
    PINION_ASSIGN_OR_RETURN(entry.gid, CheckId(*query.run_as_group, "group"));
  }

  ResolvedUser user;
  user.uid = static_cast<uid_t>(entry.uid);
  user.gid = static_cast<gid_t>(entry.gid);
  if (!entry.home.empty()) user.home = entry.home;
  AddGroup(entry.gid, user.groups);
  if (!query.strict && !entry.name.empty()) {
    ForEachGroup(files.group, [&](absl::string_view /*name*/, int64_t gid,
                                  absl::string_view members) {
      for (absl::string_view member : absl::StrSplit(members, ',')) {
        if (member == entry.name) AddGroup(gid, user.groups);
      }
      return user.groups.size() >= kMaxGroups;
    });
  }
  for (const int64_t group : query.supplemental_groups) {
    PINION_ASSIGN_OR_RETURN(const int64_t gid,
                            CheckId(group, "supplemental group"));
    AddGroup(gid, user.groups);
  }
  if (user.groups.size() > kMaxGroups) {
    return absl::InvalidArgumentError("too many supplemental groups");
  }
  return user;
}

}  // namespace pinion::plan
