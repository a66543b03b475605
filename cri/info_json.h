// The `info` maps of verbose answers: what crictl shows of an object beyond
// the CRI's own fields. Every value is one JSON text, so that crictl prints it
// as part of its own JSON (`crictl inspect ID` → .info.pid).
//
// Pure functions. Environments are left out: they hold secrets.

#ifndef PINION_CRI_INFO_JSON_H_
#define PINION_CRI_INFO_JSON_H_

#include <map>
#include <string>
#include <vector>

#include "image/image_service.h"
#include "network/pod_network.h"
#include "runtime/runtime.h"

namespace pinion::cri {

// netns path, monitor pid, cgroup, addresses, further interfaces, phases of the
// start.
std::string PodInfo(const runtime::PodSnapshot& pod,
                    const std::string& netns_path);
// pid, cgroup leaf, argv, phases, stop signal, image layers.
// `limits`: by file, what the kernel made of them.
std::string ContainerInfo(const runtime::ContainerSnapshot& container,
                          const std::string& pod_cgroup,
                          const std::map<std::string, std::string>& limits);
// The image's configuration as a container gets it.
std::string ImageInfoJson(const image::ImageInfo& image);

std::string NetworkInfo(const network::Readiness& readiness,
                        const std::vector<network::SecondaryState>& secondary);
std::string VersionInfo(const std::string& version);
std::string CgroupInfo(const std::string& driver);
std::string AppArmorInfo(const runtime::AppArmorState& state);

}  // namespace pinion::cri

#endif  // PINION_CRI_INFO_JSON_H_
