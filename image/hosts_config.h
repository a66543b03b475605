// Where a registry's images are fetched from: containerd's hosts.toml.
//
//   <dir>/<registry host>/hosts.toml      (also <host>_<port>_ for host:port)
//   <dir>/_default/hosts.toml
//
//   server = "https://registry.example"
//   [host."https://mirror.example:5000"]
//     capabilities = ["pull", "resolve"]
//     ca = "ca.crt"                  # or a list; relative to the file
//     client = ["cert.pem", "key.pem"]   # or [["cert", "key"], …]
//     skip_verify = false
//     override_path = false          # true: the URL's path replaces /v2
//     [host."https://mirror.example:5000".header]
//       x-token = ["…"]
//
// The hosts are tried in the order of the file, then the server.
//
// Thread-safe; files are read anew for every pull.

#ifndef PINION_IMAGE_HOSTS_CONFIG_H_
#define PINION_IMAGE_HOSTS_CONFIG_H_

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "image/http_client.h"
#include "image/url.h"

namespace pinion::image {

struct Endpoint {
  Url base;  // with the path, without a '/' at its end: "https://host:443/v2"
  bool pull = true;     // may serve what is named by digest
  bool resolve = true;  // may say what a tag means
  // The registry itself, not a mirror of it: gets the caller's credentials.
  bool origin = false;
  TlsOptions tls;
  std::vector<std::pair<std::string, std::string>> headers;
};

// The endpoints of one file; `domain` is the registry's host[:port] and
// `plain_http` the scheme of a server that the file does not name. Errors
// name file, line and key. `directory` is what relative paths start from.
absl::StatusOr<std::vector<Endpoint>> ParseHostsConfig(
    std::string_view text, const std::string& file,
    const std::string& directory, const std::string& domain, bool plain_http);

// Looks the file up in `config_dir` (empty: none) and falls back to the
// registry itself.
absl::StatusOr<std::vector<Endpoint>> FindEndpoints(
    const std::string& config_dir, const std::string& domain, bool plain_http);

}  // namespace pinion::image

#endif  // PINION_IMAGE_HOSTS_CONFIG_H_
