#include "tools/dns_message.h"

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/status_macros.h"

namespace pinion::tools {
namespace {

constexpr size_t kHeader = 12;
constexpr size_t kMaxName = 255;
constexpr size_t kMaxLabel = 63;
constexpr uint8_t kIsAnswer = 0x80;
constexpr uint8_t kOpcode = 0x78;
constexpr uint8_t kTruncated = 0x02;
constexpr uint8_t kRecursionDesired = 0x01;
constexpr uint8_t kCode = 0x0f;
constexpr uint16_t kClassInternet = 1;

void AddU16(uint16_t value, std::string* out) {
  out->push_back(static_cast<char>(value >> 8));
  out->push_back(static_cast<char>(value & 0xff));
}

uint8_t ByteAt(std::string_view message, size_t at) {
  return static_cast<uint8_t>(message[at]);
}

uint16_t U16At(std::string_view message, size_t at) {
  return static_cast<uint16_t>(ByteAt(message, at) << 8 |
                               ByteAt(message, at + 1));
}

// Name, type and class as they stand in a message.
absl::StatusOr<std::string> Section(const DnsQuestion& question) {
  std::string bytes;
  const std::string name(absl::StripSuffix(question.name, "."));
  if (!name.empty()) {
    for (const std::string& label :
         std::vector<std::string>(absl::StrSplit(name, '.'))) {
      if (label.empty() || label.size() > kMaxLabel) {
        return absl::InvalidArgumentError(
            absl::StrCat("\"", question.name, "\" is no name of DNS"));
      }
      bytes.push_back(static_cast<char>(label.size()));
      bytes += label;
    }
  }
  bytes.push_back('\0');
  if (bytes.size() > kMaxName) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", question.name, "\" is too long a name"));
  }
  AddU16(question.type, &bytes);
  AddU16(kClassInternet, &bytes);
  return bytes;
}

}  // namespace

DnsQuestion QuestionFor(const std::vector<std::string>& searches) {
  for (const std::string& search : searches) {
    if (absl::StartsWith(search, "svc.")) {
      return {absl::StrCat("kubernetes.default.", search), kDnsTypeA};
    }
  }
  return {".", kDnsTypeNs};
}

absl::StatusOr<std::string> DnsQuery(uint16_t id, const DnsQuestion& question) {
  PINION_ASSIGN_OR_RETURN(const std::string section, Section(question));
  std::string query;
  AddU16(id, &query);
  query.push_back(static_cast<char>(kRecursionDesired));
  query.push_back('\0');
  AddU16(1, &query);
  for (int count = 0; count < 3; ++count) AddU16(0, &query);
  return query + section;
}

absl::StatusOr<DnsAnswer> ParseDnsAnswer(std::string_view message, uint16_t id,
                                         const DnsQuestion& question) {
  PINION_ASSIGN_OR_RETURN(const std::string section, Section(question));
  if (message.size() < kHeader) {
    return absl::InvalidArgumentError("is too short for DNS");
  }
  const uint8_t flags = ByteAt(message, 2);
  if ((flags & kIsAnswer) == 0 || (flags & kOpcode) != 0) {
    return absl::InvalidArgumentError("is no answer of DNS");
  }
  if (U16At(message, 0) != id) {
    return absl::InvalidArgumentError("answers another question");
  }
  DnsAnswer answer;
  answer.code = ByteAt(message, 3) & kCode;
  answer.truncated = (flags & kTruncated) != 0;
  answer.answers = U16At(message, 6);
  // A server that did not like the question may answer without it.
  const uint16_t questions = U16At(message, 4);
  if (questions == 0 && answer.code != 0) return answer;
  const std::string_view rest = message.substr(kHeader);
  if (questions != 1 || rest.size() < section.size() ||
      !absl::EqualsIgnoreCase(absl::string_view(rest.data(), section.size()),
                              section)) {
    return absl::InvalidArgumentError("answers another question");
  }
  return answer;
}

std::string DnsCodeName(int code) {
  static constexpr const char* kNames[] = {"NOERROR",  "FORMERR", "SERVFAIL",
                                           "NXDOMAIN", "NOTIMP",  "REFUSED"};
  if (code >= 0 && code < 6) return kNames[code];
  return absl::StrCat("code ", code);
}

}  // namespace pinion::tools
