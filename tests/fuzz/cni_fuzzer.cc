// A CNI configuration, or what a plugin answers: a result or an error.

#include <cstdint>
#include <string>

#include "network/cni/config.h"
#include "network/cni/result.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace pinion;           // NOLINT
  using namespace pinion::network;  // NOLINT
  const std::string text(reinterpret_cast<const char*>(data), size);
  if (cni::ErrorOf(text, text, 1).ok()) __builtin_trap();
  const auto document = ParseJsonObject(text, "input");
  if (!document.ok()) return 0;
  const auto addresses = cni::AddressesOf(*document, "eth0");
  if (addresses.ok() && addresses->ip.empty() &&
      !addresses->additional_ips.empty()) {
    __builtin_trap();
  }
  const auto list = cni::FromJson(*document);
  if (!list.ok()) return 0;
  // What is kept until DEL means the same then.
  const auto again = cni::FromJson(cni::ToJson(*list));
  if (!again.ok() || cni::ToJson(*again) != cni::ToJson(*list)) {
    __builtin_trap();
  }
  for (const cni::Plugin& plugin : list->plugins) {
    if (plugin.type.find('/') != std::string::npos) __builtin_trap();
    const Json conf = Json::parse(
        cni::ExecutionConfig(*list, plugin, {{"portMappings", 1}}, *document),
        nullptr, false);
    if (conf.is_discarded() || conf["name"] != list->name ||
        conf.contains("capabilities")) {
      __builtin_trap();
    }
  }
  return 0;
}
