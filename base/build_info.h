// Which build this is. A library of its own (pinion_build_info), so that only
// the programs are linked anew when the commit changes.

#ifndef PINION_BASE_BUILD_INFO_H_
#define PINION_BASE_BUILD_INFO_H_

namespace pinion {

// "0.1.0".
extern const char kVersion[];
// The short commit, with "-dirty" if the tree had changes; "unknown" outside a
// git clone.
extern const char kCommit[];

}  // namespace pinion

#endif  // PINION_BASE_BUILD_INFO_H_
