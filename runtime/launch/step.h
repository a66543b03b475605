// The steps of a launch, as failures name them.
//
// Append-only: the numbers travel from an old monitor to a newer daemon.

#ifndef PINION_RUNTIME_LAUNCH_STEP_H_
#define PINION_RUNTIME_LAUNCH_STEP_H_

#include <cstdint>

namespace pinion::launch {

enum Step : uint32_t {
  kStepNone = 0,
  // In the monitor.
  kStepPlan = 1,
  kStepChannels = 2,
  kStepTarget = 3,
  kStepPidNamespace = 4,
  kStepClone = 5,
  // In the child.
  kStepStdio = 6,
  kStepSession = 7,
  kStepAffinity = 8,
  kStepOomScore = 9,
  kStepAppArmor = 10,
  kStepNamespaces = 11,
  kStepMountSource = 12,
  kStepPropagation = 13,
  kStepRootfs = 14,
  kStepPivot = 15,
  kStepKernelMount = 16,
  kStepDevice = 17,
  kStepSymlink = 18,
  kStepConsole = 19,
  kStepMountTarget = 20,
  kStepMount = 21,
  kStepMaskedPath = 22,
  kStepReadonlyPath = 23,
  kStepReadonlyRootfs = 24,
  kStepWorkingDir = 25,
  kStepRlimit = 26,
  kStepUser = 27,
  kStepCapabilities = 28,
  kStepSeccomp = 29,
  kStepExec = 30,
  kStepMemory = 31,
  kStepPodShm = 32,
  kStepMapIds = 33,
  kStepPrepare = 34,
  kStepUserNamespace = 35,
  kStepImageMount = 36,
};

}  // namespace pinion::launch

#endif  // PINION_RUNTIME_LAUNCH_STEP_H_
