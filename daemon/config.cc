#include "daemon/config.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace pinion::daemon {
namespace {

// How many single-character edits lead from one word to the other.
size_t EditDistance(const std::string& a, const std::string& b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t above = row[j];
      row[j] = std::min({above + 1, row[j - 1] + 1,
                         diagonal + (a[i - 1] == b[j - 1] ? 0 : 1)});
      diagonal = above;
    }
  }
  return row[b.size()];
}

}  // namespace

std::string Config::SocketPath() const {
  return cri.socket.empty() ? absl::StrCat(state, "/pinion.sock") : cri.socket;
}

const ConfigKey* FindConfigKey(const std::string& name) {
  for (const ConfigKey& key : ConfigKeys()) {
    if (key.name == name) return &key;
  }
  return nullptr;
}

std::string NearestConfigKey(const std::string& name,
                             const std::vector<ConfigKey>& keys) {
  std::string best;
  // More than a third of it wrong is another word.
  size_t least = std::max<size_t>(name.size() / 3, 2) + 1;
  for (const ConfigKey& key : keys) {
    const size_t distance = EditDistance(name, key.name);
    if (distance < least) {
      least = distance;
      best = key.name;
    }
  }
  if (!best.empty()) return best;
  // The right word in the wrong section.
  const std::string leaf = name.substr(name.rfind('.') + 1);
  for (const ConfigKey& key : keys) {
    if (key.name.substr(key.name.rfind('.') + 1) == leaf) return key.name;
  }
  return "";
}

namespace {

// Those of the table, and of every network that `config` or `other` has.
std::vector<ConfigKey> AllKeys(const Config& config, const Config& other) {
  std::vector<ConfigKey> keys = ConfigKeys();
  std::map<std::string, SecondaryNetworkConfig> networks =
      config.network.secondary;
  networks.insert(other.network.secondary.begin(),
                  other.network.secondary.end());
  for (const auto& [name, unused] : networks) {
    const std::vector<ConfigKey> more = SecondaryNetworkKeys(name);
    keys.insert(keys.end(), more.begin(), more.end());
  }
  return keys;
}

}  // namespace

std::string ConfigJson(const Config& config) {
  nlohmann::json root = nlohmann::json::object();
  for (const ConfigKey& key : AllKeys(config, config)) {
    // No part of a name has a dot.
    nlohmann::json* value = &root;
    for (const std::string& part :
         std::vector<std::string>(absl::StrSplit(key.name, '.'))) {
      value = &(*value)[part];
    }
    std::visit([value](const auto& shown) { *value = shown; },
               key.show(config));
  }
  // A path may hold any bytes; JSON only UTF-8.
  return root.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::vector<std::string> ChangedKeys(const Config& before,
                                     const Config& after) {
  std::vector<std::string> changed;
  for (const ConfigKey& key : AllKeys(before, after)) {
    if (key.show(before) != key.show(after)) changed.push_back(key.name);
  }
  return changed;
}

}  // namespace pinion::daemon
