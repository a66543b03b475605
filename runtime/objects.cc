#include "runtime/objects.h"

#include "absl/strings/str_cat.h"
#include "base/id.h"

namespace pinion::runtime {
namespace {

template <typename Ptr>
absl::StatusOr<Ptr> FindByPrefix(const std::map<std::string, Ptr>& objects,
                                 const std::string& id,
                                 const std::string& kind) {
  const auto missing = [&] {
    return absl::NotFoundError(
        absl::StrCat("no ", kind, " with id \"", id.substr(0, 80), "\""));
  };
  if (!IsIdPrefix(id)) return missing();
  const auto first = objects.lower_bound(id);
  if (first == objects.end() || first->first.compare(0, id.size(), id) != 0) {
    return missing();
  }
  const auto second = std::next(first);
  if (first->first != id && second != objects.end() &&
      second->first.compare(0, id.size(), id) == 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        "id \"", id, "\" is ambiguous: more than one ", kind, " begins so"));
  }
  return first->second;
}

template <typename Ptr>
std::vector<Ptr> Values(const std::map<std::string, Ptr>& objects) {
  std::vector<Ptr> values;
  values.reserve(objects.size());
  for (const auto& [id, object] : objects) values.push_back(object);
  return values;
}

template <typename Ptr>
Ptr FindByName(const std::map<std::string, Ptr>& objects,
               const std::map<std::string, std::string>& names,
               const std::string& name) {
  const auto id = names.find(name);
  if (id == names.end()) return nullptr;
  const auto found = objects.find(id->second);
  return found == objects.end() ? nullptr : found->second;
}

// Lengths keep ("a", "bc") and ("ab", "c") apart.
void AppendPart(std::string& out, const std::string& part) {
  absl::StrAppend(&out, part.size(), ":", part);
}

}  // namespace

std::string IdentityOf(const state::PodSpec& spec) {
  std::string identity;
  AppendPart(identity, spec.name());
  AppendPart(identity, spec.namespace_());
  AppendPart(identity, spec.uid());
  absl::StrAppend(&identity, spec.attempt());
  return identity;
}

std::string IdentityOf(const std::string& pod_id,
                       const state::ContainerSpec& spec) {
  std::string identity = pod_id;
  AppendPart(identity, spec.name());
  absl::StrAppend(&identity, spec.attempt());
  return identity;
}

void ObjectTable::Add(const PodPtr& pod) {
  const auto record = pod->record.Get();
  const absl::MutexLock lock(&mutex_);
  pods_[pod->id] = pod;
  pod_identities_[IdentityOf(record->spec())] = pod->id;
}

void ObjectTable::AddUnnamed(const PodPtr& pod) {
  const absl::MutexLock lock(&mutex_);
  pods_[pod->id] = pod;
}

void ObjectTable::Add(const ContainerPtr& container) {
  const auto record = container->record.Get();
  const absl::MutexLock lock(&mutex_);
  containers_[container->id] = container;
  by_pod_[record->pod_id()][container->id] = container;
  container_identities_[IdentityOf(record->pod_id(), record->spec())] =
      container->id;
}

void ObjectTable::RemovePod(const std::string& id) {
  const absl::MutexLock lock(&mutex_);
  const auto found = pods_.find(id);
  if (found == pods_.end()) return;
  const auto name =
      pod_identities_.find(IdentityOf(found->second->record.Get()->spec()));
  if (name != pod_identities_.end() && name->second == id) {
    pod_identities_.erase(name);
  }
  pods_.erase(found);
  by_pod_.erase(id);
}

void ObjectTable::RemoveContainer(const std::string& id) {
  const absl::MutexLock lock(&mutex_);
  const auto found = containers_.find(id);
  if (found == containers_.end()) return;
  const auto record = found->second->record.Get();
  const auto name =
      container_identities_.find(IdentityOf(record->pod_id(), record->spec()));
  if (name != container_identities_.end() && name->second == id) {
    container_identities_.erase(name);
  }
  const auto siblings = by_pod_.find(record->pod_id());
  if (siblings != by_pod_.end()) siblings->second.erase(id);
  containers_.erase(found);
}

absl::StatusOr<PodPtr> ObjectTable::FindPod(const std::string& id) const {
  const absl::MutexLock lock(&mutex_);
  return FindByPrefix(pods_, id, "pod sandbox");
}

absl::StatusOr<ContainerPtr> ObjectTable::FindContainer(
    const std::string& id) const {
  const absl::MutexLock lock(&mutex_);
  return FindByPrefix(containers_, id, "container");
}

PodPtr ObjectTable::FindPodByIdentity(const std::string& identity) const {
  const absl::MutexLock lock(&mutex_);
  return FindByName(pods_, pod_identities_, identity);
}

ContainerPtr ObjectTable::FindContainerByIdentity(
    const std::string& identity) const {
  const absl::MutexLock lock(&mutex_);
  return FindByName(containers_, container_identities_, identity);
}

std::vector<PodPtr> ObjectTable::Pods() const {
  const absl::MutexLock lock(&mutex_);
  return Values(pods_);
}

std::vector<ContainerPtr> ObjectTable::Containers() const {
  const absl::MutexLock lock(&mutex_);
  return Values(containers_);
}

std::vector<ContainerPtr> ObjectTable::ContainersOf(
    const std::string& pod_id) const {
  const absl::MutexLock lock(&mutex_);
  const auto found = by_pod_.find(pod_id);
  if (found == by_pod_.end()) return {};
  return Values(found->second);
}

}  // namespace pinion::runtime
