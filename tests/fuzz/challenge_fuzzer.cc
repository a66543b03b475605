// WWW-Authenticate headers, and the URLs in them.

#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "image/challenge.h"
#include "image/url.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  for (const auto& challenge : pinion::image::ParseChallenges(text)) {
    if (challenge.scheme.empty()) abort();
    const auto realm = challenge.params.find("realm");
    if (realm == challenge.params.end()) continue;
    const auto url = pinion::image::ParseUrl(realm->second);
    if (!url.ok()) continue;
    if (url->scheme != "http" && url->scheme != "https") abort();
    const auto next = pinion::image::ResolveUrl(*url, realm->second);
    if (!next.ok() || next->Origin() != url->Origin()) abort();
  }
  return 0;
}
