// Tar archives made byte by byte, so that tests can write what no honest tool
// would: any name, any type, any attribute.
//
// Not thread-safe.

#ifndef PINION_TESTS_SUPPORT_TAR_BUILDER_H_
#define PINION_TESTS_SUPPORT_TAR_BUILDER_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace pinion::testing {

struct TarEntry {
  std::string name;
  char type = '0';  // '0' file, '1' hard link, '2' symlink, '3' char, '5' dir…
  std::string content;
  std::string link;
  uint32_t mode = 0644;
  uint32_t uid = 0;
  uint32_t gid = 0;
  int64_t mtime = 0;
  uint32_t major = 0;
  uint32_t minor = 0;
  // Extended header records (pax(1)), such as "SCHILY.xattr.user.x".
  std::vector<std::pair<std::string, std::string>> pax;
};

class TarBuilder {
 public:
  TarBuilder& Add(const TarEntry& entry);
  TarBuilder& File(const std::string& name, const std::string& content,
                   uint32_t mode = 0644);
  TarBuilder& Dir(const std::string& name, uint32_t mode = 0755);
  TarBuilder& Symlink(const std::string& name, const std::string& target);
  TarBuilder& HardLink(const std::string& name, const std::string& target);

  // With the two blocks of zeros that end an archive.
  std::string Finish() const;

 private:
  std::string data_;
};

// One gzip member of `data`.
std::string Gzip(const std::string& data);
// One zstd frame of `data`.
std::string Zstd(const std::string& data);

}  // namespace pinion::testing

#endif  // PINION_TESTS_SUPPORT_TAR_BUILDER_H_
