// Network configuration lists of the CNI specification (0.3.0 to 1.1.0): what
// operators, or the add-on they installed, put into /etc/cni/net.d.
//
// Thread-safe.

#ifndef PINION_NETWORK_CNI_CONFIG_H_
#define PINION_NETWORK_CNI_CONFIG_H_

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "base/json.h"

namespace pinion::network::cni {

struct Plugin {
  // The file name of its program, without a slash.
  std::string type;
  // Its part of the list, as it stands there.
  Json conf;
};

struct NetworkList {
  std::string name;
  // The highest of `versions`, until PluginStatus has asked the plugins.
  std::string version;
  // cniVersion and cniVersions: those of them that pinion speaks, ascending.
  std::vector<std::string> versions;
  bool disable_check = false;
  bool disable_gc = false;
  // In the order of ADD; at least one.
  std::vector<Plugin> plugins;
};

// What the runtime adds for plugins that declare the capability of that name:
// "portMappings", "bandwidth", "ipRanges".
using CapabilityArgs = std::map<std::string, Json>;

// A list, or a single plugin's configuration, which counts as a list of one.
// InvalidArgument with what is wrong; versions before 0.3.0 are, too: their
// results have another shape.
absl::StatusOr<NetworkList> ParseList(std::string_view text);

// The inverse: for what must be known until DEL, whatever becomes of the file.
Json ToJson(const NetworkList& list);
absl::StatusOr<NetworkList> FromJson(const Json& document);

// The first of the directory's .conflist, .conf and .json files, in the order
// of their names. NotFound if there is none; an error names the file.
absl::StatusOr<NetworkList> LoadList(const std::string& directory);

// Whether the list's version is at least this one of the known versions.
bool IsAtLeast(const NetworkList& list, std::string_view version);

// A plugin's standard input ("Section 3", "deriving execution configuration").
// `previous`: the result of the plugin before it, or null.
std::string ExecutionConfig(const NetworkList& list, const Plugin& plugin,
                            const CapabilityArgs& arguments,
                            const Json& previous);

}  // namespace pinion::network::cni

#endif  // PINION_NETWORK_CNI_CONFIG_H_
