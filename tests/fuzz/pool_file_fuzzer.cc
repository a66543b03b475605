// A pool's file with arbitrary contents: it is read or refused, and a pool
// opened over it works, whatever its slots, hints, counts and bits say.

#include <stdlib.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>

#include "base/log.h"
#include "ipam/pool.h"
#include "ipam/pool_reader.h"

namespace {

using pinion::ipam::IpRange;
using pinion::ipam::Owner;
using pinion::ipam::Pool;

const IpRange& Range() {
  static const auto& range = *new IpRange(*IpRange::Parse("10.0.0.0/29"));
  return range;
}

// A directory for this run, removed at exit.
const std::string& Directory() {
  static const auto& directory = *new std::string([] {
    char name[] = "/dev/shm/pn-fuzz-pool-XXXXXX";
    return std::string(mkdtemp(name));
  }());
  static const int registered =
      atexit([] { std::filesystem::remove_all(Directory()); });
  (void)registered;
  return directory;
}

// A fresh pool's file.
const std::string& Template(const std::string& path) {
  static const auto& bytes = *new std::string([&path] {
    if (!Pool::Open(Directory(), Range(), {}).ok()) abort();
    std::ifstream file(path, std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(file), {});
  }());
  return bytes;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const bool quiet = [] {
    pinion::SetUpLogging(pinion::LogLevel::kError, pinion::LogFormat::kText);
    return true;
  }();
  (void)quiet;
  if (size < 1) return 0;
  const std::string path = Directory() + "/" + Pool::FileName(Range());
  std::string bytes = Template(path);
  // The first byte says where the rest goes: over the header, or behind it,
  // where no checksum protects.
  const size_t at = data[0] % 2 == 0 ? data[0] / 2 : 4096;
  bytes.replace(at, std::min(size - 1, bytes.size() - at),
                reinterpret_cast<const char*>(data) + 1,
                std::min(size - 1, bytes.size() - at));
  std::ofstream(path, std::ios::binary) << bytes;

  const auto entries = pinion::ipam::ReadPool(path);
  const auto pool = Pool::Open(Directory(), Range(), {});
  // Damaged ones are set aside, so there is always a pool.
  if (!pool.ok()) abort();
  if (entries.ok() && entries->size() > Range().size()) abort();
  const auto lease = (*pool)->Claim(Owner(42));
  if (lease.ok() && (*pool)->Find(Owner(42)) != lease->address()) abort();
  (*pool)->Release(Owner(42));
  (*pool)->Sweep([](Owner) { return false; });
  if ((*pool)->GetUsage().in_use != 0) abort();
  for (const auto& entry : std::filesystem::directory_iterator(Directory())) {
    std::filesystem::remove(entry.path());
  }
  return 0;
}
