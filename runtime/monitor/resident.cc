#include "runtime/monitor/resident.h"

#include <elf.h>
#include <link.h>
#include <sys/auxv.h>
#include <sys/mman.h>

namespace pinion::monitor {

void DropCleanPages() {
  // The program is linked at fixed addresses (static, not PIE), so the
  // headers hold them as they are.
  const auto* header = reinterpret_cast<const ElfW(Phdr)*>(getauxval(AT_PHDR));
  const unsigned long count = getauxval(AT_PHNUM);
  if (header == nullptr) return;
  constexpr ElfW(Addr) kPageMask = 4095;
  for (unsigned long i = 0; i < count; ++i) {
    if (header[i].p_type != PT_LOAD || (header[i].p_flags & PF_W) != 0) {
      continue;
    }
    const ElfW(Addr) from = header[i].p_vaddr & ~kPageMask;
    const ElfW(Addr) to =
        (header[i].p_vaddr + header[i].p_memsz + kPageMask) & ~kPageMask;
    madvise(reinterpret_cast<void*>(from), to - from, MADV_DONTNEED);
  }
}

}  // namespace pinion::monitor
