#include <linux/limits.h>
#include <unistd.h>

#include <cerrno>

#include "runtime/launch/child.h"

namespace pinion::launch {
namespace {

constexpr char kDefaultPath[] =
    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

const char** Pointers(const Child& child, const WireArray& strings) {
  const auto records = child.plan->Array<WireString>(strings);
  auto** pointers = static_cast<const char**>(
      Scratch(child, (size_t{records.size()} + 1) * sizeof(char*)));
  for (uint32_t i = 0; i < records.size(); ++i) {
    pointers[i] = child.plan->String(records[i]);
  }
  return pointers;
}

const char* SearchPath(const char* const* env) {
  const char* path = kDefaultPath;
  // The last one counts, as in the shells.
  for (; *env != nullptr; ++env) {
    if (strncmp(*env, "PATH=", 5) == 0) path = *env + 5;
  }
  return path;
}

}  // namespace

void ExecuteProgram(const Child& child) {
  const WireHeader& h = child.plan->header();
  const char** argv = Pointers(child, h.argv);
  const char** env = Pointers(child, h.env);
  const char* name = argv[0];
  auto execute = [&](const char* path) {
    execve(path, const_cast<char**>(argv), const_cast<char**>(env));
  };
  if (strchr(name, '/') != nullptr) {
    execute(name);
    Die(child, kStepExec, name);
  }

  // Like execvp(3): a file that may not be executed does not end the search,
  // but is what the error says if nothing else is found.
  const size_t name_length = strlen(name);
  int error = ENOENT;
  char full[PATH_MAX];
  for (const char* dir = SearchPath(env); dir != nullptr;) {
    const char* end = strchr(dir, ':');
    size_t length =
        end != nullptr ? static_cast<size_t>(end - dir) : strlen(dir);
    const char* start = dir;
    dir = end != nullptr ? end + 1 : nullptr;
    if (length == 0) {
      start = ".";
      length = 1;
    }
    if (length + 1 + name_length >= sizeof(full)) continue;
    memcpy(full, start, length);
    full[length] = '/';
    memcpy(full + length + 1, name, name_length + 1);
    execute(full);
    if (errno == EACCES) {
      error = EACCES;
    } else if (errno != ENOENT && errno != ENOTDIR) {
      Die(child, kStepExec, full);
    }
  }
  errno = error;
  Die(child, kStepExec, name);
}

}  // namespace pinion::launch
