#include "runtime/plan/cdi_devices.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <set>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status_macros.h"
#include "os/error.h"
#include "os/file.h"

namespace pinion::plan {
namespace {

constexpr size_t kMaxFile = size_t{1} << 20;
constexpr size_t kMaxFiles = 1024;
constexpr size_t kMaxErrors = 4;

struct Loaded {
  std::string path;
  size_t dir = 0;
  CdiSpec spec;
};

struct Directory {
  std::vector<Loaded> files;
  std::vector<std::string> errors;
};

void LoadFile(const std::string& path, size_t dir, Directory& all) {
  const auto read = [&path]() -> absl::StatusOr<CdiSpec> {
    // Neither waits for a writer nor reads a device.
    PINION_ASSIGN_OR_RETURN(
        const os::UniqueFd file,
        os::OpenAt(AT_FDCWD, path, O_RDONLY | O_NONBLOCK | O_NOCTTY));
    // It may bring any device and any mount of the node.
    struct stat st = {};
    if (fstat(file.get(), &st) != 0) return os::ErrnoStatus("fstat");
    if (st.st_uid != 0 || (st.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
      return absl::PermissionDeniedError(
          "others than root can write it: chown root, chmod go-w");
    }
    PINION_ASSIGN_OR_RETURN(const std::string text,
                            os::ReadFd(file.get(), path, kMaxFile));
    return ParseCdiSpec(text, absl::EndsWith(path, ".json") ? CdiFormat::kJson
                                                            : CdiFormat::kYaml);
  };
  auto spec = read();
  if (spec.ok()) {
    all.files.push_back({path, dir, *std::move(spec)});
  } else {
    all.errors.push_back(absl::StrCat(path, ": ", spec.status().message()));
  }
}

Directory LoadAll(const std::vector<std::string>& dirs) {
  Directory all;
  for (size_t i = 0; i < dirs.size(); ++i) {
    const auto names = os::ListDirAt(AT_FDCWD, dirs[i]);
    if (absl::IsNotFound(names.status())) continue;
    if (!names.ok()) {
      all.errors.push_back(std::string(names.status().message()));
      continue;
    }
    for (const std::string& name : *names) {
      if (!absl::EndsWith(name, ".json") && !absl::EndsWith(name, ".yaml")) {
        continue;
      }
      if (all.files.size() + all.errors.size() >= kMaxFiles) return all;
      LoadFile(absl::StrCat(dirs[i], "/", name), i, all);
    }
  }
  return all;
}

struct Found {
  const Loaded* file = nullptr;
  const CdiDevice* device = nullptr;
};

absl::Status NotFound(const std::string& name,
                      const std::vector<std::string>& dirs,
                      std::vector<std::string> errors) {
  std::string message =
      absl::StrCat("CDI device ", name, ": not in ", absl::StrJoin(dirs, ", "));
  if (errors.size() > kMaxErrors) errors.resize(kMaxErrors);
  if (!errors.empty()) {
    absl::StrAppend(&message, " (", absl::StrJoin(errors, "; "), ")");
  }
  return absl::InvalidArgumentError(message);
}

absl::StatusOr<Found> Find(const Directory& all, const std::string& name,
                           const std::vector<std::string>& dirs) {
  const size_t equals = name.find('=');
  const std::string kind = name.substr(0, equals);
  const std::string own = name.substr(equals + 1);
  Found found;
  const Loaded* rival = nullptr;
  for (const Loaded& file : all.files) {
    if (file.spec.kind != kind) continue;
    for (const CdiDevice& device : file.spec.devices) {
      if (device.name != own) continue;
      rival = found.file != nullptr && found.file->dir == file.dir ? found.file
                                                                   : nullptr;
      found = {&file, &device};
    }
  }
  if (found.file == nullptr) return NotFound(name, dirs, all.errors);
  if (rival != nullptr) {
    return absl::FailedPreconditionError(
        absl::StrCat("CDI device ", name, ": both ", rival->path, " and ",
                     found.file->path, " have it"));
  }
  return found;
}

template <typename T>
void Append(const std::vector<T>& from, std::vector<T>& to) {
  to.insert(to.end(), from.begin(), from.end());
}

absl::Status AddEdits(const std::string& name, const CdiEdits& edits,
                      CdiEdits& all) {
  if (!edits.unsupported.empty()) {
    return absl::UnimplementedError(absl::StrCat("CDI device ", name, ": ",
                                                 edits.unsupported.front(),
                                                 " is not supported"));
  }
  Append(edits.env, all.env);
  Append(edits.nodes, all.nodes);
  Append(edits.mounts, all.mounts);
  Append(edits.gids, all.gids);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<CdiEdits> FindCdiDevices(const std::vector<std::string>& dirs,
                                        const std::vector<std::string>& names) {
  CdiEdits edits;
  if (names.empty()) return edits;
  const Directory all = LoadAll(dirs);
  std::set<const Loaded*> seen;
  for (const std::string& name : names) {
    if (!IsCdiName(name)) {
      return absl::InvalidArgumentError(
          absl::StrCat("CDI device ", name, ": must be vendor/class=name"));
    }
    PINION_ASSIGN_OR_RETURN(const Found found, Find(all, name, dirs));
    if (seen.insert(found.file).second) {
      PINION_RETURN_IF_ERROR(AddEdits(name, found.file->spec.edits, edits));
    }
    PINION_RETURN_IF_ERROR(AddEdits(name, found.device->edits, edits));
  }
  return edits;
}

}  // namespace pinion::plan
