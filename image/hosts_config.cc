#include "image/hosts_config.h"

#include <fcntl.h>

#include <algorithm>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "base/toml.h"
#include "image/reference.h"
#include "os/file.h"

namespace pinion::image {
namespace {

constexpr size_t kMaxPem = size_t{1} << 20;
constexpr size_t kMaxHosts = 64;

// Reads one table's keys into an endpoint.
class HostReader {
 public:
  HostReader(const std::string& file, const std::string& directory)
      : file_(file), directory_(directory) {}

  absl::Status Error(const toml::node& node, const std::string& key,
                     const std::string& why) const {
    return absl::InvalidArgumentError(absl::StrCat(
        file_, ":", node.source().begin.line, ": ", key, ": ", why));
  }

  absl::StatusOr<std::string> Text(const toml::node& node,
                                   const std::string& key) const {
    const auto value = node.value_exact<std::string>();
    if (!value.has_value()) return Error(node, key, "want a string");
    if (std::any_of(value->begin(), value->end(), [](char c) {
          return static_cast<unsigned char>(c) < ' ' || c == '\x7f';
        })) {
      return Error(node, key, "control characters");
    }
    return *value;
  }

  absl::StatusOr<bool> Bool(const toml::node& node,
                            const std::string& key) const {
    const auto value = node.value_exact<bool>();
    if (!value.has_value()) return Error(node, key, "want true or false");
    return *value;
  }

  // A string or an array of strings.
  absl::StatusOr<std::vector<std::string>> Texts(const toml::node& node,
                                                 const std::string& key) const {
    std::vector<std::string> result;
    if (const toml::array* array = node.as_array()) {
      for (const toml::node& item : *array) {
        PINION_ASSIGN_OR_RETURN(std::string text, Text(item, key));
        result.push_back(std::move(text));
      }
      return result;
    }
    PINION_ASSIGN_OR_RETURN(std::string text, Text(node, key));
    result.push_back(std::move(text));
    return result;
  }

  absl::Status Capabilities(const toml::node& node, Endpoint& endpoint) const {
    PINION_ASSIGN_OR_RETURN(const std::vector<std::string> names,
                            Texts(node, "capabilities"));
    endpoint.pull = false;
    endpoint.resolve = false;
    for (const std::string& name : names) {
      if (name == "pull") {
        endpoint.pull = true;
      } else if (name == "resolve") {
        endpoint.resolve = true;
      } else if (name != "push") {
        return Error(node, "capabilities", "unknown capability " + name);
      }
    }
    return absl::OkStatus();
  }

  std::string Path(const std::string& name) const {
    return absl::StartsWith(name, "/") ? name
                                       : absl::StrCat(directory_, "/", name);
  }

  absl::Status Ca(const toml::node& node, Endpoint& endpoint) const {
    PINION_ASSIGN_OR_RETURN(const std::vector<std::string> names,
                            Texts(node, "ca"));
    for (const std::string& name : names) {
      const auto pem = os::ReadFileAt(AT_FDCWD, Path(name), kMaxPem);
      if (!pem.ok()) {
        return Error(node, "ca", std::string(pem.status().message()));
      }
      absl::StrAppend(&endpoint.tls.ca_pem, *pem, "\n");
    }
    return absl::OkStatus();
  }

  // "both.pem", ["cert", "key"] or [["cert", "key"], …]: the first pair
  // counts; TLS takes one certificate.
  absl::Status Client(const toml::node& node, Endpoint& endpoint) const {
    const toml::node* pair = &node;
    if (const toml::array* outer = node.as_array();
        outer != nullptr && !outer->empty() && outer->get(0)->is_array()) {
      pair = outer->get(0);
    }
    PINION_ASSIGN_OR_RETURN(const std::vector<std::string> names,
                            Texts(*pair, "client"));
    if (names.empty() || names.size() > 2 || names[0].empty()) {
      return Error(node, "client", "want a certificate and its key");
    }
    endpoint.tls.client_cert_file = Path(names[0]);
    if (names.size() == 2 && !names[1].empty()) {
      endpoint.tls.client_key_file = Path(names[1]);
    }
    return absl::OkStatus();
  }

  absl::Status Headers(const toml::node& node, Endpoint& endpoint) const {
    const toml::table* table = node.as_table();
    if (table == nullptr) return Error(node, "header", "want a table");
    for (const auto& [key, value] : *table) {
      const std::string name(key.str());
      if (name.empty() || name.find_first_of(": \t\r\n") != name.npos) {
        return Error(value, "header", "bad header name");
      }
      PINION_ASSIGN_OR_RETURN(const std::vector<std::string> texts,
                              Texts(value, "header." + name));
      for (const std::string& text : texts) {
        endpoint.headers.emplace_back(name, text);
      }
    }
    return absl::OkStatus();
  }

  absl::Status Keys(const toml::table& table, bool top, Endpoint& endpoint,
                    bool& override_path) const {
    for (const auto& [key, node] : table) {
      const std::string name(key.str());
      if (name == "capabilities") {
        PINION_RETURN_IF_ERROR(Capabilities(node, endpoint));
      } else if (name == "ca") {
        PINION_RETURN_IF_ERROR(Ca(node, endpoint));
      } else if (name == "client") {
        PINION_RETURN_IF_ERROR(Client(node, endpoint));
      } else if (name == "header") {
        PINION_RETURN_IF_ERROR(Headers(node, endpoint));
      } else if (name == "skip_verify") {
        PINION_ASSIGN_OR_RETURN(endpoint.tls.skip_verify, Bool(node, name));
      } else if (name == "override_path") {
        PINION_ASSIGN_OR_RETURN(override_path, Bool(node, name));
      } else if (name == "dial_timeout") {
        // containerd's; the time-outs here are pinion's own.
        PINION_RETURN_IF_ERROR(Text(node, name).status());
      } else if (!top || (name != "server" && name != "host")) {
        return Error(node, name, "unknown key");
      }
    }
    return absl::OkStatus();
  }

  // `where` may lack a scheme: https then.
  absl::StatusOr<Url> Base(const toml::node& node, const std::string& key,
                           const std::string& where, bool override_path) const {
    const std::string text = where.find("://") == std::string::npos
                                 ? absl::StrCat("https://", where)
                                 : where;
    const auto parsed = ParseUrl(text);
    if (!parsed.ok() || parsed->text.find('?') != std::string::npos) {
      return Error(node, key, "want a URL like https://host:port");
    }
    std::string base = parsed->text;
    while (absl::EndsWith(base, "/")) base.pop_back();
    if (!override_path && !absl::EndsWith(base, "/v2")) base += "/v2";
    return ParseUrl(base);
  }

 private:
  const std::string file_;
  const std::string directory_;
};

std::string ServerOf(const std::string& domain, bool plain_http) {
  const std::string host = domain == kDockerDomain ? kDockerEndpoint : domain;
  return absl::StrCat(plain_http ? "http://" : "https://", host);
}

absl::StatusOr<Endpoint> Origin(const std::string& domain, bool plain_http) {
  Endpoint origin;
  PINION_ASSIGN_OR_RETURN(
      origin.base, ParseUrl(absl::StrCat(ServerOf(domain, plain_http), "/v2")));
  origin.origin = true;
  return origin;
}

}  // namespace

absl::StatusOr<std::vector<Endpoint>> ParseHostsConfig(
    std::string_view text, const std::string& file,
    const std::string& directory, const std::string& domain, bool plain_http) {
  toml::table root;
  try {
    root = toml::parse(text);
  } catch (const toml::parse_error& error) {
    return absl::InvalidArgumentError(
        absl::StrCat(file, ":", error.source().begin.line, ": ",
                     std::string(error.description())));
  } catch (const TomlAssertion&) {
    return absl::InvalidArgumentError(absl::StrCat(file, ": malformed TOML"));
  }
  const HostReader reader(file, directory);
  Endpoint server;
  PINION_ASSIGN_OR_RETURN(server, Origin(domain, plain_http));
  bool override_path = false;
  PINION_RETURN_IF_ERROR(reader.Keys(root, true, server, override_path));
  if (const toml::node* node = root.get("server")) {
    PINION_ASSIGN_OR_RETURN(const std::string where,
                            reader.Text(*node, "server"));
    PINION_ASSIGN_OR_RETURN(server.base,
                            reader.Base(*node, "server", where, override_path));
  }
  std::vector<std::pair<toml::source_index, Endpoint>> hosts;
  if (const toml::node* node = root.get("host")) {
    const toml::table* table = node->as_table();
    if (table == nullptr || table->size() > kMaxHosts) {
      return reader.Error(*node, "host", "want at most 64 tables");
    }
    for (const auto& [key, value] : *table) {
      const std::string name(key.str());
      const toml::table* keys = value.as_table();
      if (keys == nullptr) return reader.Error(value, name, "want a table");
      Endpoint endpoint;
      bool own_path = false;
      PINION_RETURN_IF_ERROR(reader.Keys(*keys, false, endpoint, own_path));
      PINION_ASSIGN_OR_RETURN(endpoint.base,
                              reader.Base(value, name, name, own_path));
      // A host that is the server with other options is the server.
      endpoint.origin = endpoint.base.Origin() == server.base.Origin();
      hosts.emplace_back(value.source().begin.line, std::move(endpoint));
    }
  }
  std::stable_sort(
      hosts.begin(), hosts.end(),
      [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<Endpoint> result;
  for (auto& [line, endpoint] : hosts) result.push_back(std::move(endpoint));
  result.push_back(std::move(server));
  return result;
}

absl::StatusOr<std::vector<Endpoint>> FindEndpoints(
    const std::string& config_dir, const std::string& domain, bool plain_http) {
  if (!config_dir.empty()) {
    std::vector<std::string> names = {domain};
    if (const size_t colon = domain.rfind(':');
        colon != std::string::npos && !absl::EndsWith(domain, "]")) {
      names.push_back(absl::StrCat(domain.substr(0, colon), "_",
                                   domain.substr(colon + 1), "_"));
    }
    names.push_back("_default");
    for (const std::string& name : names) {
      const std::string directory = absl::StrCat(config_dir, "/", name);
      const std::string file = absl::StrCat(directory, "/hosts.toml");
      const auto text = os::ReadFileAt(AT_FDCWD, file);
      if (text.ok()) {
        return ParseHostsConfig(*text, file, directory, domain, plain_http);
      }
      if (!absl::IsNotFound(text.status())) return text.status();
    }
  }
  PINION_ASSIGN_OR_RETURN(Endpoint origin, Origin(domain, plain_http));
  return std::vector<Endpoint>{std::move(origin)};
}

}  // namespace pinion::image
