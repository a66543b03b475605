// PID 1 of a PID namespace that the containers of a pod share.

#ifndef PINION_RUNTIME_LAUNCH_INIT_H_
#define PINION_RUNTIME_LAUNCH_INIT_H_

namespace pinion::launch {

// Reaps what loses its parent, and does nothing else, for ever; only its
// death from outside ends it, and with it the namespace. The caller is PID 1
// of the namespace already, a process of its own (`pinion-monitor --init`).
// Containers can see the process, so it gives up everything worth having:
// descriptors, capabilities, and the host's mounts (/proc/1/root). A failure
// to do so ends it with status 1.
[[noreturn]] void RunPodInit();

}  // namespace pinion::launch

#endif  // PINION_RUNTIME_LAUNCH_INIT_H_
