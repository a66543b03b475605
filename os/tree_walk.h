// Goes through the directories of a tree of any depth, with three descriptors
// at most: what a container nests must not exhaust the daemon's descriptors,
// nor its stack, nor PATH_MAX.
//
// Thread-safe.

#ifndef PINION_OS_TREE_WALK_H_
#define PINION_OS_TREE_WALK_H_

#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace pinion::os {

struct TreeVisitor {
  // In a directory that was entered, the top first: the names of those below
  // to enter. Links are not followed.
  std::function<absl::StatusOr<std::vector<std::string>>(int dir)> enter;
  // Back in `dir`, with everything below `name` done. May be empty.
  std::function<absl::Status(int dir, const std::string& name)> leave;
};

// Depth first. `name` is what errors call the tree. What others move away
// meanwhile is left out. FailedPrecondition: a directory is on another file
// system. Errors of the visitor end the walk.
absl::Status WalkTree(int top, const std::string& name,
                      const TreeVisitor& visitor);

}  // namespace pinion::os

#endif  // PINION_OS_TREE_WALK_H_
