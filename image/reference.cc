#include "image/reference.h"

#include <arpa/inet.h>
#include <fnmatch.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace pinion::image {

const char kDockerDomain[] = "docker.io";
const char kDockerEndpoint[] = "registry-1.docker.io";

namespace {

// The distribution specification's limits.
constexpr size_t kMaxName = 255;
constexpr size_t kMaxTag = 128;
constexpr size_t kMaxText = kMaxName + 1 + kMaxTag + 1 + 7 + 64;

bool IsLower(char c) { return c >= 'a' && c <= 'z'; }
bool IsUpper(char c) { return c >= 'A' && c <= 'Z'; }
bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsAlnum(char c) { return IsLower(c) || IsUpper(c) || IsDigit(c); }

// [A-Za-z0-9_][A-Za-z0-9_.-]{0,127}
bool IsTag(std::string_view tag) {
  if (tag.empty() || tag.size() > kMaxTag) return false;
  if (!IsAlnum(tag[0]) && tag[0] != '_') return false;
  return std::all_of(tag.begin(), tag.end(), [](char c) {
    return IsAlnum(c) || c == '_' || c == '.' || c == '-';
  });
}

// [a-z0-9]+ runs, joined by one '.', one or two '_', or any number of '-'.
bool IsPathComponent(std::string_view part) {
  const auto is_run = [](char c) { return IsLower(c) || IsDigit(c); };
  if (part.empty() || !is_run(part.front()) || !is_run(part.back())) {
    return false;
  }
  for (size_t i = 0; i < part.size();) {
    if (is_run(part[i])) {
      ++i;
      continue;
    }
    size_t end = i;
    while (end < part.size() && !is_run(part[end])) ++end;
    const std::string_view joint = part.substr(i, end - i);
    if (joint != "." && joint != "_" && joint != "__" &&
        joint.find_first_not_of('-') != std::string_view::npos) {
      return false;
    }
    i = end;
  }
  return true;
}

bool IsPort(std::string_view port) {
  if (port.empty() || port.size() > 5 ||
      !std::all_of(port.begin(), port.end(), IsDigit)) {
    return false;
  }
  const int number = std::stoi(std::string(port));
  return number >= 1 && number <= 65535;
}

bool IsHostLabel(std::string_view label) {
  return !label.empty() && label.size() <= 63 && IsAlnum(label.front()) &&
         IsAlnum(label.back()) &&
         std::all_of(label.begin(), label.end(),
                     [](char c) { return IsAlnum(c) || c == '-'; });
}

// A DNS name, an IPv4 address or "[IPv6]", with or without a port.
bool IsDomain(std::string_view domain) {
  std::string_view host = domain;
  if (!domain.empty() && domain[0] == '[') {
    const size_t close = domain.find(']');
    if (close == std::string_view::npos || close < 3) return false;
    const std::string address(domain.substr(1, close - 1));
    in6_addr parsed;
    if (address.find_first_not_of("0123456789abcdefABCDEF:.") !=
            std::string::npos ||
        inet_pton(AF_INET6, address.c_str(), &parsed) != 1) {
      return false;
    }
    const std::string_view rest = domain.substr(close + 1);
    return rest.empty() || (rest[0] == ':' && IsPort(rest.substr(1)));
  }
  const size_t colon = domain.find(':');
  if (colon != std::string_view::npos) {
    if (!IsPort(domain.substr(colon + 1))) return false;
    host = domain.substr(0, colon);
  }
  while (true) {
    const size_t dot = host.find('.');
    if (!IsHostLabel(host.substr(0, dot))) return false;
    if (dot == std::string_view::npos) return true;
    host.remove_prefix(dot + 1);
  }
}

bool LooksLikeDomain(std::string_view part) {
  return part == "localhost" ||
         part.find_first_of(".:[") != std::string_view::npos ||
         std::any_of(part.begin(), part.end(), IsUpper);
}

bool IsPath(std::string_view path) {
  while (true) {
    const size_t slash = path.find('/');
    if (!IsPathComponent(path.substr(0, slash))) return false;
    if (slash == std::string_view::npos) return true;
    path.remove_prefix(slash + 1);
  }
}

absl::Status Malformed(std::string_view text, const std::string& why) {
  std::string shown;
  for (const char c : text.substr(0, 120)) {
    shown += (c >= ' ' && c <= '~') ? c : '?';
  }
  return absl::InvalidArgumentError(
      absl::StrCat("malformed image reference \"", shown, "\": ", why));
}

}  // namespace

std::string Reference::Key() const {
  return digest.empty() ? absl::StrCat(Name(), ":", tag)
                        : absl::StrCat(Name(), "@", digest.text());
}

absl::StatusOr<Reference> ParseReference(std::string_view text,
                                         const std::string& default_registry) {
  if (text.empty()) return Malformed(text, "it is empty");
  if (text.size() > kMaxText) return Malformed(text, "it is too long");
  Reference result;
  std::string_view rest = text;
  if (const size_t at = rest.find('@'); at != std::string_view::npos) {
    const auto digest = Digest::Parse(rest.substr(at + 1));
    if (!digest.ok()) {
      return Malformed(text, std::string(digest.status().message()));
    }
    result.digest = *digest;
    rest = rest.substr(0, at);
  }
  const size_t slash = rest.rfind('/');
  const size_t colon = rest.rfind(':');
  if (colon != std::string_view::npos &&
      (slash == std::string_view::npos || colon > slash)) {
    if (!IsTag(rest.substr(colon + 1))) return Malformed(text, "bad tag");
    result.tag = std::string(rest.substr(colon + 1));
    rest = rest.substr(0, colon);
  } else if (result.digest.empty()) {
    result.tag = "latest";
  }
  const size_t first = rest.find('/');
  if (first != std::string_view::npos &&
      LooksLikeDomain(rest.substr(0, first))) {
    result.domain = std::string(rest.substr(0, first));
    rest = rest.substr(first + 1);
  } else {
    result.domain = default_registry.empty() ? kDockerDomain : default_registry;
  }
  // The name that Docker's own tools have used since long for the same.
  if (result.domain == std::string("index.") + kDockerDomain) {
    result.domain = kDockerDomain;
  }
  result.path = std::string(rest);
  if (result.domain == kDockerDomain && rest.find('/') == rest.npos) {
    result.path = absl::StrCat("library/", result.path);
  }
  if (!IsDomain(result.domain)) return Malformed(text, "bad registry host");
  if (rest.size() == Digest::kHexLength &&
      rest.find_first_not_of("0123456789abcdef") == rest.npos) {
    return Malformed(text, "a name of 64 hexadecimal digits is an image id");
  }
  if (!IsPath(result.path)) {
    return Malformed(text, "a path is lower-case letters, digits and . _ -");
  }
  if (result.Name().size() > kMaxName) {
    return Malformed(text, "the name is longer than 255 bytes");
  }
  return result;
}

bool MatchesGlob(const std::string& pattern, const std::string& text) {
  return fnmatch(pattern.c_str(), text.c_str(), 0) == 0;
}

}  // namespace pinion::image
