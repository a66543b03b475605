// Cgroups and directories that no record names: of pods whose records were
// damaged, or of a crash between the last side effect and the record.

#include <functional>

#include "base/id.h"
#include "base/log.h"
#include "os/file.h"
#include "runtime/operations.h"

namespace pinion::runtime {
namespace {

std::vector<std::string> NamesIn(
    int dir, const std::function<bool(const std::string&)>& known) {
  std::vector<std::string> unknown;
  const auto names = os::ListDirAt(dir, ".");
  if (!names.ok()) {
    Log(LogLevel::kError, "leftover directories were not looked for",
        {{"error", names.status().ToString()}});
    return unknown;
  }
  for (const std::string& name : *names) {
    if (!known(name)) unknown.push_back(name);
  }
  return unknown;
}

void RemoveAll(int dir, const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    const absl::Status status = os::RemoveTreeAt(dir, name);
    Log(LogLevel::kWarning, "removed a leftover directory",
        {{"name", name}, {"result", status.ToString()}});
  }
}

}  // namespace

Leftovers FindLeftovers(Context& context, const std::set<std::string>& pods) {
  Leftovers found;
  const auto known = [&pods](const std::string& name) {
    return pods.count(name) != 0;
  };
  const auto cgroups = context.deps.pod_cgroups->ListPods();
  if (cgroups.ok()) {
    for (const std::string& id : *cgroups) {
      if (!known(id)) found.cgroups.push_back(id);
    }
  } else {
    Log(LogLevel::kError, "leftover cgroups were not looked for",
        {{"error", cgroups.status().ToString()}});
  }
  found.pod_dirs = NamesIn(context.pods_dir.get(), known);
  found.container_dirs =
      NamesIn(context.containers_dir.get(), [&](const std::string& name) {
        return IsId(name) && context.objects.FindContainer(name).ok();
      });
  return found;
}

void RemoveLeftovers(Context& context, const Leftovers& leftovers) {
  // cgroups first: that also kills a monitor nobody knows.
  for (const std::string& id : leftovers.cgroups) {
    const absl::Status status = context.deps.pod_cgroups->Remove(id, "");
    Log(LogLevel::kWarning, "removed the cgroup of an unknown pod",
        {{"pod", id}, {"result", status.ToString()}});
    const absl::Status detached = context.deps.network->Detach(id);
    if (!detached.ok()) {
      Log(LogLevel::kError, "addresses of an unknown pod were not freed",
          {{"pod", id}, {"error", detached.ToString()}});
    }
  }
  RemoveAll(context.pods_dir.get(), leftovers.pod_dirs);
  RemoveAll(context.containers_dir.get(), leftovers.container_dirs);
}

}  // namespace pinion::runtime
