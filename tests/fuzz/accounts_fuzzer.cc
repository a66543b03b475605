// passwd(5) and group(5) of an image, and its USER: three parts of the input,
// separated by NUL.

#include <cstdint>
#include <cstdlib>
#include <string>

#include "runtime/plan/users.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string parts[3];
  size_t part = 0;
  for (size_t i = 0; i < size; ++i) {
    if (data[i] == 0 && part < 2) {
      ++part;
    } else {
      parts[part] += static_cast<char>(data[i]);
    }
  }
  const pinion::plan::AccountFiles files = {parts[1], parts[2]};
  for (const bool strict : {false, true}) {
    pinion::plan::UserQuery query;
    query.image_user = parts[0];
    query.strict = strict;
    const auto user = pinion::plan::ResolveUser(query, files);
    if (!user.ok()) continue;
    if (user->uid > 0x7fffffff || user->gid > 0x7fffffff) abort();
    if (user->groups.empty() || user->groups[0] != user->gid) abort();
  }
  return 0;
}
