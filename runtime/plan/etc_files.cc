#include "runtime/plan/etc_files.h"

#include <arpa/inet.h>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status_macros.h"

namespace pinion::plan {
namespace {

constexpr size_t kMaxHostname = 64;
constexpr size_t kMaxWord = 255;

absl::Status CheckAddress(const std::string& text) {
  unsigned char address[16];
  // A link-local server may name its interface: "fe80::1%eth0".
  const std::string bare = text.substr(0, text.find('%'));
  if (inet_pton(AF_INET, text.c_str(), address) == 1 ||
      inet_pton(AF_INET6, bare.c_str(), address) == 1) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat("\"", text, "\" is no IP address"));
}

absl::Status CheckWord(const std::string& word, const char* what) {
  bool good = !word.empty() && word.size() <= kMaxWord;
  for (const char c : word) {
    good = good && absl::ascii_isgraph(static_cast<unsigned char>(c));
  }
  if (good) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("malformed ", what, " \"", word, "\""));
}

absl::Status CheckHostname(const std::string& name) {
  bool good = !name.empty() && name.size() <= kMaxHostname;
  for (const char c : name) {
    good = good && (absl::ascii_isalnum(static_cast<unsigned char>(c)) ||
                    c == '-' || c == '.' || c == '_');
  }
  if (good) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("malformed hostname \"", name, "\""));
}

}  // namespace

absl::StatusOr<std::string> ResolvConf(const ResolverConfig& config) {
  std::string text;
  if (!config.searches.empty()) {
    for (const std::string& domain : config.searches) {
      PINION_RETURN_IF_ERROR(CheckWord(domain, "DNS search domain"));
    }
    absl::StrAppend(&text, "search ", absl::StrJoin(config.searches, " "),
                    "\n");
  }
  for (const std::string& server : config.servers) {
    PINION_RETURN_IF_ERROR_AS(CheckAddress(server), "DNS server");
    PINION_RETURN_IF_ERROR(CheckWord(server, "DNS server"));
    absl::StrAppend(&text, "nameserver ", server, "\n");
  }
  if (!config.options.empty()) {
    for (const std::string& option : config.options) {
      PINION_RETURN_IF_ERROR(CheckWord(option, "DNS option"));
    }
    absl::StrAppend(&text, "options ", absl::StrJoin(config.options, " "),
                    "\n");
  }
  return text;
}

absl::StatusOr<std::string> HostnameFile(const std::string& hostname) {
  PINION_RETURN_IF_ERROR(CheckHostname(hostname));
  return absl::StrCat(hostname, "\n");
}

absl::StatusOr<std::string> HostsFile(const std::string& hostname,
                                      const std::vector<std::string>& ips) {
  std::string text =
      "127.0.0.1\tlocalhost\n"
      "::1\tlocalhost ip6-localhost ip6-loopback\n"
      "fe00::\tip6-localnet\n"
      "ff02::1\tip6-allnodes\n"
      "ff02::2\tip6-allrouters\n";
  if (hostname.empty()) return text;
  PINION_RETURN_IF_ERROR(CheckHostname(hostname));
  for (const std::string& ip : ips) {
    PINION_RETURN_IF_ERROR_AS(CheckAddress(ip), "pod address");
    absl::StrAppend(&text, ip, "\t", hostname, "\n");
  }
  return text;
}

}  // namespace pinion::plan
