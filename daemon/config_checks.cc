#include "daemon/config_checks.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/cpu_set.h"
#include "metrics/socket_address.h"
#include "network/addressing.h"
#include "network/device_name.h"

namespace pinion::daemon {
namespace {

absl::Status MustBe(absl::string_view what, const std::string& text) {
  return absl::InvalidArgumentError(
      absl::StrCat("must be ", what, ", not \"", text, "\""));
}

using Check = absl::Status (*)(const std::string&);

absl::Status OrEmpty(Check check, const std::string& text) {
  return text.empty() ? absl::OkStatus() : check(text);
}

// The bytes of an address: 4, 16, or none if it is no address.
std::vector<uint8_t> AddressBytes(const std::string& text) {
  std::array<uint8_t, 16> bytes = {};
  if (inet_pton(AF_INET, text.c_str(), bytes.data()) == 1) {
    return {bytes.begin(), bytes.begin() + 4};
  }
  if (inet_pton(AF_INET6, text.c_str(), bytes.data()) == 1) {
    return {bytes.begin(), bytes.end()};
  }
  return {};
}

// 4 or 16 for a prefix without host bits, else 0.
size_t CidrFamily(const std::string& text) {
  const std::vector<std::string> parts = absl::StrSplit(text, '/');
  uint32_t length = 0;
  if (parts.size() != 2 || !absl::SimpleAtoi(parts[1], &length)) return 0;
  const std::vector<uint8_t> bytes = AddressBytes(parts[0]);
  if (bytes.empty() || length > bytes.size() * 8) return 0;
  for (size_t bit = length; bit < bytes.size() * 8; ++bit) {
    if ((bytes[bit / 8] >> (7 - bit % 8) & 1) != 0) return 0;
  }
  return bytes.size();
}

// The same for a prefix or FIRST-LAST.
size_t RangeFamily(const std::string& text) {
  const std::vector<std::string> ends = absl::StrSplit(text, '-');
  if (ends.size() != 2) return CidrFamily(text);
  const auto first = AddressBytes(ends[0]);
  const auto last = AddressBytes(ends[1]);
  return first.size() == last.size() && first <= last ? first.size() : 0;
}

// Empty, or one or two items of different families; `family_of` is 0 for what
// is no such item.
template <typename FamilyOf>
bool OnePerFamily(const std::string& text, FamilyOf family_of) {
  if (text.empty()) return true;
  const std::vector<std::string> items = absl::StrSplit(text, ',');
  size_t seen = 0;
  for (const std::string& item : items) {
    const size_t family = family_of(item);
    if (family == 0 || family == seen || items.size() > 2) return false;
    seen = family;
  }
  return true;
}

bool OnlyOf(const std::string& text, absl::string_view extra) {
  for (const char c : text) {
    if (!absl::ascii_isalnum(static_cast<unsigned char>(c)) &&
        extra.find(c) == absl::string_view::npos) {
      return false;
    }
  }
  return true;
}

}  // namespace

absl::Status AnyText(const std::string&) { return absl::OkStatus(); }

absl::Status AbsolutePath(const std::string& text) {
  constexpr absl::string_view kWhat =
      "an absolute path without \".\" and \"..\"";
  if (text.empty() || text[0] != '/' || text.size() > 4095) {
    return MustBe(kWhat, text);
  }
  for (const std::string& part :
       std::vector<std::string>(absl::StrSplit(text, '/'))) {
    if (part == "." || part == "..") return MustBe(kWhat, text);
  }
  return absl::OkStatus();
}

absl::Status AbsolutePathOrEmpty(const std::string& text) {
  return OrEmpty(AbsolutePath, text);
}

absl::Status SocketPathOrEmpty(const std::string& text) {
  if (text.size() > 103) {
    return MustBe("at most 103 bytes long (unix(7))", text);
  }
  return OrEmpty(AbsolutePath, text);
}

absl::Status ListenAddress(const std::string& text) {
  if (metrics::ParseSocketAddress(text).ok()) return absl::OkStatus();
  return MustBe("ADDRESS:PORT such as 127.0.0.1:9469 or [::1]:9469", text);
}

absl::Status ListenAddressOrEmpty(const std::string& text) {
  return text.empty() ? absl::OkStatus() : ListenAddress(text);
}

absl::Status IpAddressesOrEmpty(const std::string& text) {
  return OnePerFamily(
             text,
             [](const std::string& item) { return AddressBytes(item).size(); })
             ? absl::OkStatus()
             : MustBe("an IP address, or one of each family, comma-separated",
                      text);
}

absl::Status CidrOrEmpty(const std::string& text) {
  return OnePerFamily(text, CidrFamily)
             ? absl::OkStatus()
             : MustBe(
                   "a prefix without host bits such as 10.0.0.0/24, or one of "
                   "each family, comma-separated",
                   text);
}

absl::Status RangeOrEmpty(const std::string& text) {
  return text.empty() ? absl::OkStatus() : network::ParseRanges(text).status();
}

absl::Status AddressSet(const std::string& text) {
  return !AddressBytes(text).empty() || RangeFamily(text) != 0
             ? absl::OkStatus()
             : MustBe("an address, a prefix or FIRST-LAST", text);
}

absl::Status StaticRoute(const std::string& text) {
  const std::vector<std::string> words = absl::StrSplit(text, ' ');
  const size_t family = CidrFamily(words[0]);
  const bool good =
      words.size() == 1 || (words.size() == 3 && words[1] == "via" &&
                            AddressBytes(words[2]).size() == family);
  return family != 0 && good
             ? absl::OkStatus()
             : MustBe("a prefix such as 10.5.0.0/16, or \"PREFIX via ADDRESS\"",
                      text);
}

absl::Status NetworkMode(const std::string& text) {
  if (text == "macvlan" || text == "ipvlan" || text == "bridge" ||
      text == "cni" || text == "none") {
    return absl::OkStatus();
  }
  return MustBe("macvlan, ipvlan, bridge, cni or none", text);
}

absl::Status DeviceName(const std::string& text) {
  return network::CheckDeviceName(text);
}

absl::Status PodInterfaceName(const std::string& text) {
  return network::CheckPodInterfaceName(text);
}

absl::Status ParentDevice(const std::string& text) {
  return text == "auto" ? absl::OkStatus() : DeviceName(text);
}

absl::Status RegistryHost(const std::string& text) {
  if (text.empty() || text.size() > 300 || !OnlyOf(text, ".-_:[]")) {
    return MustBe("HOST or HOST:PORT, without a scheme", text);
  }
  return absl::OkStatus();
}

absl::Status RegistryHostOrEmpty(const std::string& text) {
  return OrEmpty(RegistryHost, text);
}

absl::Status ProxyOrEmpty(const std::string& text) {
  if (text.empty()) return absl::OkStatus();
  const size_t scheme = text.find("://");
  if (scheme == std::string::npos) return RegistryHost(text);
  const std::string name = text.substr(0, scheme);
  if ((name != "http" && name != "https" && name != "socks5" &&
       name != "socks5h") ||
      text.size() == scheme + 3) {
    return MustBe("an http://, https:// or socks5:// URL",
                  WithoutUserInfo(text));
  }
  return absl::OkStatus();
}

absl::Status HandlerName(const std::string& text) {
  bool valid = !text.empty() && text.size() <= 63 && text.front() != '-' &&
               text.back() != '-';
  for (const char c : text) {
    valid = valid &&
            (c == '-' || absl::ascii_islower(static_cast<unsigned char>(c)) ||
             absl::ascii_isdigit(static_cast<unsigned char>(c)));
  }
  return valid ? absl::OkStatus()
               : MustBe("a DNS label (a-z, 0-9 and '-', at most 63)", text);
}

absl::Status SysctlPattern(const std::string& text) {
  std::string name = text;
  if (absl::EndsWith(name, ".*")) name.resize(name.size() - 2);
  bool valid = !name.empty() && OnlyOf(name, "._-");
  for (const std::string& part :
       std::vector<std::string>(absl::StrSplit(name, '.'))) {
    valid = valid && !part.empty();
  }
  return valid ? absl::OkStatus()
               : MustBe("a dotted sysctl name, or a prefix with \".*\"", text);
}

absl::Status CgroupParentOrEmpty(const std::string& text) {
  if (text.empty()) return absl::OkStatus();
  if (text[0] == '/') return AbsolutePath(text);
  const bool slice = absl::EndsWith(text, ".slice") && text.size() > 6 &&
                     text.size() < 256 && text.find('/') == std::string::npos;
  return slice ? absl::OkStatus()
               : MustBe("a slice (pinion.slice) or a cgroup path (/pinion)",
                        text);
}

absl::Status CpuList(const std::string& text) {
  const auto cpus = CpuSet::Parse(text);
  return cpus.ok() && !cpus->empty() ? absl::OkStatus()
                                     : MustBe("a list of CPUs (0-1,8)", text);
}

absl::StatusOr<int64_t> DurationSeconds(const std::string& text) {
  int64_t unit = 0;
  if (!text.empty()) {
    switch (text.back()) {
      case 's':
        unit = 1;
        break;
      case 'm':
        unit = 60;
        break;
      case 'h':
        unit = 3600;
        break;
      default:
        break;
    }
  }
  int64_t number = 0;
  if (unit == 0 ||
      !absl::SimpleAtoi(text.substr(0, text.size() - 1), &number) ||
      number < 0 || number > 1'000'000) {
    return MustBe("a duration with its unit (90s, 5m, 1h)", text);
  }
  return number * unit;
}

std::string WithoutUserInfo(const std::string& url) {
  const size_t scheme = url.find("://");
  const size_t start = scheme == std::string::npos ? 0 : scheme + 3;
  const size_t at = url.rfind('@');
  if (at == std::string::npos || at < start) return url;
  return absl::StrCat(url.substr(0, start), "***", url.substr(at));
}

}  // namespace pinion::daemon
