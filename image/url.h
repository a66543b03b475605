// The little of RFC 3986 that a registry client needs.
//
// Thread-safe.

#ifndef PINION_IMAGE_URL_H_
#define PINION_IMAGE_URL_H_

#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace pinion::image {

struct Url {
  std::string text;    // the whole, without user and fragment
  std::string scheme;  // "http" or "https"
  std::string host;    // lower case; IPv6 in brackets
  std::string port;    // always there

  // "https://host:port": who gets secrets.
  std::string Origin() const { return scheme + "://" + host + ":" + port; }
};

// InvalidArgument for anything but an absolute http or https URL, and for one
// with a user name in it.
absl::StatusOr<Url> ParseUrl(const std::string& text);

// `location` as a Location header means it, relative to `base`.
absl::StatusOr<Url> ResolveUrl(const Url& base, const std::string& location);

// Percent-encodes all but unreserved characters.
std::string EscapeUrl(std::string_view text);

// Whether a host (without its port) is this machine: localhost, 127.0.0.0/8,
// [::1].
bool IsLoopbackHost(const std::string& host);

// For logs: without the query, which may carry a signature.
std::string WithoutQuery(const std::string& url);

}  // namespace pinion::image

#endif  // PINION_IMAGE_URL_H_
