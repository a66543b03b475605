// Image references: what is accepted is stable under its own normal form and
// safe in a URL and in a file name.

#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "image/reference.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto reference = pinion::image::ParseReference(text);
  if (!reference.ok()) return 0;
  const std::string key = reference->Key();
  const auto again = pinion::image::ParseReference(key);
  if (!again.ok() || again->Key() != key) abort();
  const std::string name = reference->Name();
  if (name.size() > 255 || name.find("..") != name.npos ||
      name.find("//") != name.npos || reference->tag.find('/') != name.npos ||
      reference->tag[0] == '.') {
    abort();
  }
  for (const char c : key) {
    if (c <= ' ' || c > '~' || c == '?' || c == '#' || c == '%') abort();
  }
  return 0;
}
