// hosts.toml.

#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "image/hosts_config.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto endpoints = pinion::image::ParseHostsConfig(
      text, "hosts.toml", "/nonexistent", "registry.example:5000", false);
  if (!endpoints.ok()) return 0;
  if (endpoints->empty() || !endpoints->back().origin) abort();
  for (const auto& endpoint : *endpoints) {
    if (endpoint.base.host.empty()) abort();
    for (const auto& [name, value] : endpoint.headers) {
      if ((name + value).find_first_of("\r\n") != name.npos) abort();
    }
  }
  return 0;
}
