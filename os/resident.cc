#include "os/resident.h"

#include <link.h>
#include <sys/mman.h>
#include <unistd.h>

namespace pinion::os {
namespace {

int DropObject(dl_phdr_info* object, size_t /*size*/, void* page_size) {
  const ElfW(Addr) page = *static_cast<const ElfW(Addr)*>(page_size);
  for (int i = 0; i < object->dlpi_phnum; ++i) {
    const ElfW(Phdr)& segment = object->dlpi_phdr[i];
    // A writable segment has relocated and changed data, RELRO's included.
    if (segment.p_type != PT_LOAD || (segment.p_flags & PF_W) != 0) continue;
    const ElfW(Addr) start = object->dlpi_addr + segment.p_vaddr;
    const ElfW(Addr) from = start & ~(page - 1);
    const ElfW(Addr) to = (start + segment.p_memsz + page - 1) & ~(page - 1);
    // The vDSO refuses; that is fine.
    (void)madvise(reinterpret_cast<void*>(from), to - from, MADV_DONTNEED);
  }
  return 0;
}

}  // namespace

void DropCleanPages() {
  auto page_size = static_cast<ElfW(Addr)>(sysconf(_SC_PAGESIZE));
  dl_iterate_phdr(DropObject, &page_size);
}

}  // namespace pinion::os
