#include "tests/support/test_archive.h"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>

namespace pinion::testing {

std::string TestArchive() {
  namespace fs = std::filesystem;
  const char* build = std::getenv("PINION_BUILD");
  const std::string path =
      std::string(build != nullptr ? build : "build") + "/busybox.oci.tar";
  if (fs::exists(path)) return fs::absolute(path);
  const std::string temporary = path + "." + std::to_string(getpid());
  const std::string command =
      std::string("tests/conformance/registry archive ") + kTestImage + " " +
      temporary;
  if (std::system(command.c_str()) != 0) {
    std::fprintf(stderr, "failed: %s\n", command.c_str());
    std::exit(1);
  }
  fs::rename(temporary, path);
  return fs::absolute(path);
}

}  // namespace pinion::testing
