// A container that uses more than its memory.max shall be, because something
// raised it, is held by memory.high until it uses less: the kernel takes back
// what it can and slows down whoever takes more, and kills nobody
// (Documentation/admin-guide/cgroup-v2.rst). What memory.high shall be
// otherwise stays in the book; a lower value of the user's own counts more.
//
// Thread-safe.

#ifndef PINION_RUNTIME_CGROUP_MEMORY_HOLD_H_
#define PINION_RUNTIME_CGROUP_MEMORY_HOLD_H_

#include <map>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "runtime/cgroup/limit_book.h"

namespace pinion::cgroup {

inline constexpr char kMemoryHigh[] = "memory.high";
inline constexpr char kMemoryMax[] = "memory.max";

// What memory.high, which shall read `text`, is to read while it holds a cgroup
// at `limit`: a 32nd less than that, 64 MiB at the most.
std::string WithHold(const std::string& text, const std::string& limit);
// What a file that shall read `text` is to read now.
std::string WithHold(const BookedCgroup& cgroup, const std::string& file,
                     const std::string& text)
    ABSL_SHARED_LOCKS_REQUIRED(cgroup.mutex);

// Under a claim to memory.max, but not to memory.high. Holds it at `limit`, in
// bytes; may take as long as reclaim does.
void HoldMemory(const BookedCgroupPtr& cgroup, const std::string& limit);
// Under a claim to the settings' files: without a memory.max that the cgroup
// has more than and is held at, or is to be held at now, as it is higher. It
// cannot be written, and the guard does that when it can; whoever gives all
// that shall be does not fail for it.
std::vector<Setting> WithoutHeld(BookedCgroup& cgroup,
                                 std::vector<Setting> settings)
    ABSL_LOCKS_EXCLUDED(cgroup.mutex);
// Under that claim, after all of `settings` but that were written and `noted`:
// a memory.max in force ends the hold; otherwise what is held still is so under
// a new memory.high or memory.max, too, or the guard would take what pinion
// wrote for drift.
void SettleHold(const BookedCgroupPtr& cgroup,
                const std::vector<Setting>& settings,
                const std::map<std::string, std::string>& noted);
// Of a daemon that was killed, in a container's cgroup that is not in the book
// yet and in which `settings` shall be: memory.high is again what they say;
// "max", which is added then, if they do not.
void EndOldHold(int dir, std::vector<Setting>& settings);
// memory.high is again what it shall be; nothing if it was not held.
void ReleaseMemory(const BookedCgroupPtr& cgroup);

// Without a claim, and so without waiting, of every cgroup, all of which are
// taken out of the book: for a daemon that ends while others still use that.
void DropHolds(LimitBook& book);

// Of every cgroup in the book, at its end: nobody would release them later.
class HoldsUntilTheEnd {
 public:
  explicit HoldsUntilTheEnd(LimitBook& book) : book_(book) {}
  ~HoldsUntilTheEnd();

 private:
  LimitBook& book_;
};

}  // namespace pinion::cgroup

#endif  // PINION_RUNTIME_CGROUP_MEMORY_HOLD_H_
