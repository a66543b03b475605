#include "image/url.h"

#include <curl/curl.h>

#include <algorithm>
#include <memory>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace pinion::image {
namespace {

constexpr size_t kMaxUrl = 8192;

struct FreeUrl {
  void operator()(CURLU* url) const { curl_url_cleanup(url); }
};
using Handle = std::unique_ptr<CURLU, FreeUrl>;

std::string Part(CURLU* url, CURLUPart part, unsigned int flags = 0) {
  char* text = nullptr;
  if (curl_url_get(url, part, &text, flags) != CURLUE_OK) return "";
  std::string result(text);
  curl_free(text);
  return result;
}

absl::Status Malformed(const std::string& text) {
  return absl::InvalidArgumentError(
      absl::StrCat("malformed URL \"", WithoutQuery(text).substr(0, 200),
                   "\": want http:// or https:// and a host"));
}

absl::StatusOr<Url> Describe(CURLU* handle, const std::string& text) {
  Url url;
  curl_url_set(handle, CURLUPART_FRAGMENT, nullptr, 0);
  url.text = Part(handle, CURLUPART_URL);
  url.scheme = Part(handle, CURLUPART_SCHEME);
  url.host = Part(handle, CURLUPART_HOST);
  url.port = Part(handle, CURLUPART_PORT, CURLU_DEFAULT_PORT);
  absl::AsciiStrToLower(&url.host);
  if ((url.scheme != "http" && url.scheme != "https") || url.host.empty() ||
      !Part(handle, CURLUPART_USER).empty() ||
      !Part(handle, CURLUPART_PASSWORD).empty()) {
    return Malformed(text);
  }
  return url;
}

}  // namespace

absl::StatusOr<Url> ParseUrl(const std::string& text) {
  const Handle handle(curl_url());
  if (text.size() > kMaxUrl ||
      curl_url_set(handle.get(), CURLUPART_URL, text.c_str(), 0) != CURLUE_OK) {
    return Malformed(text);
  }
  return Describe(handle.get(), text);
}

absl::StatusOr<Url> ResolveUrl(const Url& base, const std::string& location) {
  const Handle handle(curl_url());
  if (location.size() > kMaxUrl || location.empty() ||
      curl_url_set(handle.get(), CURLUPART_URL, base.text.c_str(), 0) !=
          CURLUE_OK ||
      curl_url_set(handle.get(), CURLUPART_URL, location.c_str(), 0) !=
          CURLUE_OK) {
    return Malformed(location);
  }
  return Describe(handle.get(), location);
}

std::string EscapeUrl(std::string_view text) {
  constexpr char kDigits[] = "0123456789ABCDEF";
  std::string result;
  for (const char c : text) {
    if (absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '-' ||
        c == '.' || c == '_' || c == '~') {
      result += c;
      continue;
    }
    const auto byte = static_cast<unsigned char>(c);
    result += '%';
    result += kDigits[byte >> 4];
    result += kDigits[byte & 15];
  }
  return result;
}

bool IsLoopbackHost(const std::string& host) {
  if (host == "localhost" || host == "[::1]") return true;
  return host.compare(0, 4, "127.") == 0 &&
         host.find_first_not_of("0123456789.") == std::string::npos;
}

std::string WithoutQuery(const std::string& url) {
  return url.substr(0, url.find('?'));
}

}  // namespace pinion::image
