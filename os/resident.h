// Keeps a long-running program's resident memory to what it uses.
//
// Thread-safe.

#ifndef PINION_OS_RESIDENT_H_
#define PINION_OS_RESIDENT_H_

namespace pinion::os {

// Unmaps the clean pages of the program's and its libraries' code and
// constants (madvise(2), MADV_DONTNEED on private file mappings that were
// never writable). What is used again comes back from the page cache by a
// minor fault; what only the start touched does not. Breakpoints that a
// debugger has set are lost.
void DropCleanPages();

}  // namespace pinion::os

#endif  // PINION_OS_RESIDENT_H_
