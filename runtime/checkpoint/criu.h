// How criu(8) is called, and what it has to say. docs/decisions/checkpoint.md
// says why each option is there.
//
// Pure functions, but for FindCriu; thread-safe.

#ifndef PINION_RUNTIME_CHECKPOINT_CRIU_H_
#define PINION_RUNTIME_CHECKPOINT_CRIU_H_

#include <sys/types.h>

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace pinion::checkpoint {

// The directories of Debian's PATH for root.
std::vector<std::string> CriuDirs();

// The path of criu. Unimplemented, with what is to be installed, if it is in
// none of `dirs`.
absl::StatusOr<std::string> FindCriu(
    const std::vector<std::string>& dirs = CriuDirs());

// A mount that comes from outside the container: criu keeps only its name.
struct ExternalMount {
  std::string name;
  std::string path;  // dump: the mount point inside; restore: the host's source
};

struct DumpCommand {
  pid_t pid = 0;  // the container's first process
  std::string images_dir;
  std::string script;  // called at the stages of the dump (criu_dump.h)
  std::vector<ExternalMount> mounts;
};

struct RestoreCommand {
  std::string images_dir;
  std::string root;      // where the container's root is mounted
  std::string pid_file;  // gets the first process's pid; must not exist
  std::vector<ExternalMount> mounts;
  // What was open as 0, 1, 2 and is replaced by criu's own: "pipe:[7]"; empty:
  // not replaced.
  std::array<std::string, 3> stdio;
};

inline constexpr char kDumpLog[] = "dump.log";
inline constexpr char kRestoreLog[] = "restore.log";

// The words after "criu".
std::vector<std::string> DumpArguments(const DumpCommand& command);
std::vector<std::string> RestoreArguments(const RestoreCommand& command);

// The environment that criu and its helpers (tar) get.
std::vector<std::string> CriuEnvironment();

// The errors among the lines of a log of criu's, the last few, as one line of
// printable text; says so if there is none.
std::string ErrorsOf(std::string_view log);

}  // namespace pinion::checkpoint

#endif  // PINION_RUNTIME_CHECKPOINT_CRIU_H_
