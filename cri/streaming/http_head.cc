#include "cri/streaming/http_head.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "base/status_macros.h"

namespace pinion::cri::streaming {
namespace {

absl::string_view View(std::string_view text) {
  return absl::string_view(text.data(), text.size());
}

// RFC 9110, 5.6.2.
bool IsTokenChar(char c) {
  return absl::ascii_isalnum(static_cast<unsigned char>(c)) ||
         (c != '\0' && absl::string_view("!#$%&'*+-.^_`|~").find(c) !=
                           absl::string_view::npos);
}

bool IsToken(absl::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), IsTokenChar);
}

absl::Status Bad(absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("malformed request: ", what));
}

absl::Status ParseRequestLine(absl::string_view line, HttpHead* head) {
  const std::vector<absl::string_view> parts = absl::StrSplit(line, ' ');
  if (parts.size() != 3) return Bad("request line");
  if (!IsToken(parts[0])) return Bad("method");
  // Origin form only: this is no proxy.
  if (!absl::StartsWith(parts[1], "/")) return Bad("target");
  if (parts[2] != "HTTP/1.1") return Bad("HTTP version");
  head->method = std::string(parts[0]);
  head->path = std::string(parts[1].substr(0, parts[1].find('?')));
  return absl::OkStatus();
}

absl::Status ParseField(absl::string_view line, HttpHead* head) {
  const size_t colon = line.find(':');
  if (colon == absl::string_view::npos) return Bad("header field");
  const absl::string_view name = line.substr(0, colon);
  // Also refuses a folded line, which begins with a space.
  if (!IsToken(name)) return Bad("header field name");
  const absl::string_view value =
      absl::StripAsciiWhitespace(line.substr(colon + 1));
  for (const char c : value) {
    if ((static_cast<unsigned char>(c) < ' ' && c != '\t') || c == 0x7f) {
      return Bad("header field value");
    }
  }
  if (head->fields.size() == kMaxHeaderFields) return Bad("too many fields");
  head->fields.emplace_back(absl::AsciiStrToLower(name), std::string(value));
  return absl::OkStatus();
}

absl::Status RefuseBody(const HttpHead& head) {
  if (head.Has("transfer-encoding")) return Bad("a body");
  if (head.Has("content-length") && head.Single("content-length") != "0") {
    return Bad("a body");
  }
  return absl::OkStatus();
}

}  // namespace

std::vector<std::string> HttpHead::Items(std::string_view name) const {
  std::vector<std::string> items;
  for (const auto& [field, value] : fields) {
    if (field != name) continue;
    for (const absl::string_view part : absl::StrSplit(value, ',')) {
      const absl::string_view item = absl::StripAsciiWhitespace(part);
      if (!item.empty()) items.emplace_back(item);
    }
  }
  return items;
}

bool HttpHead::HasItem(std::string_view name, std::string_view item) const {
  for (const std::string& have : Items(name)) {
    if (absl::EqualsIgnoreCase(have, View(item))) return true;
  }
  return false;
}

std::string HttpHead::Single(std::string_view name) const {
  const std::string* found = nullptr;
  for (const auto& [field, value] : fields) {
    if (field != name) continue;
    if (found != nullptr) return "";
    found = &value;
  }
  return found == nullptr ? "" : *found;
}

bool HttpHead::Has(std::string_view name) const {
  return std::any_of(fields.begin(), fields.end(),
                     [name](const auto& field) { return field.first == name; });
}

size_t HeadLength(std::string_view bytes) {
  const size_t end = bytes.find("\r\n\r\n");
  return end == std::string_view::npos ? 0 : end + 4;
}

absl::StatusOr<HttpHead> ParseHead(std::string_view bytes) {
  if (bytes.size() > kMaxHeadBytes) return Bad("too long");
  if (!absl::EndsWith(View(bytes), "\r\n\r\n")) return Bad("no end");
  bytes.remove_suffix(4);
  HttpHead head;
  bool first = true;
  for (const absl::string_view line : absl::StrSplit(View(bytes), "\r\n")) {
    PINION_RETURN_IF_ERROR(first ? ParseRequestLine(line, &head)
                                 : ParseField(line, &head));
    first = false;
  }
  PINION_RETURN_IF_ERROR(RefuseBody(head));
  return head;
}

}  // namespace pinion::cri::streaming
