#include "runtime/launch/child.h"

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "runtime/launch/launch.h"
#include "runtime/launch/launch_spec.h"

namespace pinion::launch {

void RunChild(Child& child) {
  const bool container =
      child.plan->header().kind == static_cast<uint32_t>(Kind::kContainer);
  const bool mapped = child.plan->HasUserNamespace();
  umask(0);
  TakeDescriptors(child);
  if (child.plan->header().kind == static_cast<uint32_t>(Kind::kRestore)) {
    // criu takes the identity, the limits and the rest from its images.
    StartProcess(child);
    PrepareRestore(child);
    ExecuteProgram(child);
  }
  if (container && mapped) TakeMappedRoot(child);
  StartProcess(child);
  if (container && mapped) {
    EnterMappedRootfs(child);
    FindNull(child);
  } else if (container) {
    OpenMountSources(child);
    if (child.root_mount >= 0) {
      EnterMountedRoot(child);
    } else {
      EnterRootfs(child);
    }
    MountKernelFilesystems(child);
    MakeDevices(child);
    FindNull(child);
  } else {
    if (mapped) OwnStdio(child);
    JoinContainer(child);
  }
  // Before any foreign mount is attached, so that the terminal is made on
  // the devpts mounted above and on nothing else.
  if (child.plan->Has(kFlagTerminal)) MakeTerminal(child);
  FinishStdio(child);
  if (container) {
    AttachMounts(child);
    HidePaths(child);
    EnterWorkingDir(child);
    FinishRootfs(child);
  } else {
    EnterWorkingDir(child);
  }
  SetRlimits(child);
  umask(child.plan->header().umask);
  TakeIdentity(child);
  if (child.dir_refused) RetryWorkingDir(child);
  ExecuteProgram(child);
}

void Die(const Child& child, Step step, const char* object) {
  Failure failure;
  failure.error = errno;
  failure.step = step;
  strncpy(failure.object, object, sizeof(failure.object) - 1);
  ssize_t n;
  do {
    n = write(child.report_fd, &failure, sizeof(failure));
  } while (n < 0 && errno == EINTR);
  _exit(127);
}

void* Scratch(const Child& child, size_t size) {
  void* memory = mmap(nullptr, size, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) Die(child, kStepMemory, "scratch memory");
  return memory;
}

}  // namespace pinion::launch
