#include "tests/support/test_archive.h"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>

namespace pinion::testing {

std::string TestArchive(const std::string& reference) {
  namespace fs = std::filesystem;
  const char* build = std::getenv("PINION_BUILD");
  const std::string path = std::string(build != nullptr ? build : "build") +
                           "/images/" + reference + ".oci.tar";
  if (fs::exists(path)) return fs::absolute(path);
  fs::create_directories(fs::path(path).parent_path());
  const std::string temporary = path + "." + std::to_string(getpid());
  const std::string command =
      "tests/conformance/registry archive " + reference + " " + temporary;
  if (std::system(command.c_str()) != 0) {
    std::fprintf(stderr, "failed: %s\n", command.c_str());
    std::exit(1);
  }
  fs::rename(temporary, path);
  return fs::absolute(path);
}

}  // namespace pinion::testing
