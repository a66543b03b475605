// The identity of a container's process: names and numbers of the request
// and of the image, resolved against /etc/passwd and /etc/group inside the
// rootfs (passwd(5), group(5)).
//
// Thread-safe.

#ifndef PINION_RUNTIME_PLAN_USERS_H_
#define PINION_RUNTIME_PLAN_USERS_H_

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "runtime/plan/layer_stack.h"

namespace pinion::plan {

struct UserQuery {
  // The image's USER: "", "uid", "name", either with ":gid" or ":group".
  std::string image_user;
  // Of the request; the first one given wins over the image's user.
  std::optional<int64_t> run_as_user;
  std::string run_as_username;
  // Only together with one of the two above (CRI, run_as_group).
  std::optional<int64_t> run_as_group;
  std::vector<int64_t> supplemental_groups;
  // SupplementalGroupsPolicy Strict: memberships in the image's /etc/group
  // are left out. Merge otherwise.
  bool strict = false;
};

struct ResolvedUser {
  uid_t uid = 0;
  gid_t gid = 0;
  // Supplementary, complete and without repetitions; the primary group comes
  // first, as in the status that the kubelet shows.
  std::vector<gid_t> groups;
  std::string home = "/";  // "/" where passwd does not say
};

// Contents of an image's files; empty where it has none.
struct AccountFiles {
  std::string passwd;
  std::string group;
};

// At most 10 MiB each, else ResourceExhausted.
absl::StatusOr<AccountFiles> ReadAccountFiles(const LayerStack& layers);

// A number is a number, even if a user has such a name. Ids are 0 … 2³¹−1.
// InvalidArgument names the user or group that is unknown or malformed.
absl::StatusOr<ResolvedUser> ResolveUser(const UserQuery& query,
                                         const AccountFiles& files);

}  // namespace pinion::plan

#endif  // PINION_RUNTIME_PLAN_USERS_H_
