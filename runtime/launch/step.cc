#include "runtime/launch/step.h"

#include "runtime/launch/launch.h"

namespace pinion::launch {

const char* StepName(uint32_t step) {
  switch (static_cast<Step>(step)) {
    case kStepNone:
      return "nothing";
    case kStepPlan:
      return "read plan";
    case kStepChannels:
      return "make report channel";
    case kStepTarget:
      return "find target process";
    case kStepPidNamespace:
      return "join PID namespace";
    case kStepClone:
      return "clone3";
    case kStepStdio:
      return "set up stdio";
    case kStepSession:
      return "start session";
    case kStepAffinity:
      return "reset CPU affinity";
    case kStepOomScore:
      return "set oom_score_adj";
    case kStepAppArmor:
      return "set AppArmor profile";
    case kStepNamespaces:
      return "join namespaces";
    case kStepMountSource:
      return "open mount source";
    case kStepPropagation:
      return "set mount propagation";
    case kStepRootfs:
      return "mount rootfs";
    case kStepPivot:
      return "pivot_root";
    case kStepKernelMount:
      return "mount";
    case kStepDevice:
      return "make device";
    case kStepSymlink:
      return "make symlink";
    case kStepConsole:
      return "set up terminal";
    case kStepMountTarget:
      return "make mount target";
    case kStepMount:
      return "mount";
    case kStepMaskedPath:
      return "mask path";
    case kStepReadonlyPath:
      return "make path read-only";
    case kStepReadonlyRootfs:
      return "make rootfs read-only";
    case kStepWorkingDir:
      return "enter working directory";
    case kStepRlimit:
      return "set resource limit";
    case kStepUser:
      return "set user";
    case kStepCapabilities:
      return "set capabilities";
    case kStepSeccomp:
      return "load seccomp filter";
    case kStepExec:
      return "exec";
    case kStepMemory:
      return "map scratch memory";
    case kStepPodShm:
      return "clone the pod's /dev/shm";
    case kStepMapIds:
      return "map ids (can the file system?) of";
    case kStepPrepare:
      return "prepare mounts";
    case kStepUserNamespace:
      return "clone into user namespace";
    case kStepImageMount:
      return "ImageVolumeMountFailed: mount image at";
  }
  return "unknown step";
}

}  // namespace pinion::launch
