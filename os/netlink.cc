#include "os/netlink.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>

#include <atomic>

#include "absl/strings/cord.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "os/error.h"

namespace pinion::os {
namespace {

constexpr char kErrnoPayload[] = "pinion/errno";

// The kernel's own limit for a datagram of a dump (NETLINK_RECVMSG's
// min_dump_alloc grows to what the reader offers, at most this).
constexpr size_t kBufferBytes = 32768;

// How often a dump is begun that changes get in the way of.
constexpr int kDumpAttempts = 8;

// Numbers that no request in this process shares, so that a late answer on a
// borrowed socket is never taken for another request's.
uint32_t NextSequence(size_t count) {
  static std::atomic<uint32_t> next{1};
  return next.fetch_add(static_cast<uint32_t>(count));
}

absl::Status Failure(int error, const std::string& what,
                     const std::string& explanation = "") {
  absl::Status status = ErrnoStatus(
      error,
      explanation.empty() ? what : absl::StrCat(what, " (", explanation, ")"));
  status.SetPayload(kErrnoPayload, absl::Cord(absl::StrCat(error)));
  return status;
}

// Calls `each` for every message of a datagram.
template <typename Each>
void ForEachMessage(std::span<const char> bytes, Each each) {
  while (bytes.size() >= NLMSG_HDRLEN) {
    const auto* header = reinterpret_cast<const nlmsghdr*>(bytes.data());
    if (header->nlmsg_len < NLMSG_HDRLEN || header->nlmsg_len > bytes.size()) {
      return;
    }
    each(*header, NetlinkMessage(bytes.first(header->nlmsg_len)));
    const size_t step = NLMSG_ALIGN(header->nlmsg_len);
    if (step >= bytes.size()) return;
    bytes = bytes.subspan(step);
  }
}

// The kernel's words for an error (NETLINK_EXT_ACK), where it has any.
std::string Explanation(const nlmsghdr& header, const NetlinkMessage& message) {
  if ((header.nlmsg_flags & NLM_F_ACK_TLVS) == 0 ||
      (header.nlmsg_flags & NLM_F_CAPPED) == 0) {
    return "";
  }
  return NetlinkMessage::String(NetlinkMessage::Find(
      message.Attributes(sizeof(nlmsgerr)), NLMSGERR_ATTR_MSG));
}

}  // namespace

void NetlinkBatch::Append(const void* data, size_t size) {
  const auto* begin = static_cast<const char*>(data);
  bytes_.insert(bytes_.end(), begin, begin + size);
  bytes_.resize(NLMSG_ALIGN(bytes_.size()));
}

nlmsghdr* NetlinkBatch::Header(size_t offset) {
  return reinterpret_cast<nlmsghdr*>(bytes_.data() + offset);
}

void NetlinkBatch::BeginRaw(uint16_t type, uint16_t flags, const void* header,
                            size_t size, std::string what) {
  if (bytes_.empty()) bytes_.reserve(1024);
  const size_t offset = bytes_.size();
  nlmsghdr message{};
  message.nlmsg_type = type;
  message.nlmsg_flags = static_cast<uint16_t>(flags | NLM_F_REQUEST);
  Append(&message, sizeof(message));
  requests_.push_back({offset, std::move(what)});
  Append(header, size);
  UpdateLength();
}

void NetlinkBatch::Add(uint16_t type, const void* data, size_t size) {
  nlattr attribute{};
  attribute.nla_type = type;
  attribute.nla_len = static_cast<uint16_t>(NLA_HDRLEN + size);
  Append(&attribute, sizeof(attribute));
  Append(data, size);
  UpdateLength();
}

void NetlinkBatch::UpdateLength() {
  const size_t offset = requests_.back().offset;
  Header(offset)->nlmsg_len = static_cast<uint32_t>(bytes_.size() - offset);
}

void NetlinkBatch::AddString(uint16_t type, std::string_view value) {
  const std::string terminated(value);
  Add(type, terminated.c_str(), terminated.size() + 1);
}

size_t NetlinkBatch::BeginNest(uint16_t type) {
  const size_t start = bytes_.size();
  Add(type, nullptr, 0);
  return start;
}

void NetlinkBatch::EndNest(size_t start) {
  reinterpret_cast<nlattr*>(bytes_.data() + start)->nla_len =
      static_cast<uint16_t>(bytes_.size() - start);
}

uint16_t NetlinkMessage::type() const {
  return reinterpret_cast<const nlmsghdr*>(bytes_.data())->nlmsg_type;
}

std::span<const char> NetlinkMessage::Attributes(size_t header_size) const {
  const size_t start = NLMSG_HDRLEN + NLMSG_ALIGN(header_size);
  if (bytes_.size() < start) return {};
  return bytes_.subspan(start);
}

std::span<const char> NetlinkMessage::Find(std::span<const char> attributes,
                                           uint16_t type) {
  while (attributes.size() >= NLA_HDRLEN) {
    const auto* header = reinterpret_cast<const nlattr*>(attributes.data());
    if (header->nla_len < NLA_HDRLEN || header->nla_len > attributes.size()) {
      return {};
    }
    if ((header->nla_type & NLA_TYPE_MASK) == type) {
      return attributes.subspan(NLA_HDRLEN, header->nla_len - NLA_HDRLEN);
    }
    const size_t step = NLA_ALIGN(header->nla_len);
    if (step >= attributes.size()) return {};
    attributes = attributes.subspan(step);
  }
  return {};
}

uint32_t NetlinkMessage::U32(std::span<const char> content, uint32_t missing) {
  uint32_t value = missing;
  if (content.size() >= sizeof(value)) {
    memcpy(&value, content.data(), sizeof(value));
  }
  return value;
}

std::string NetlinkMessage::String(std::span<const char> content) {
  if (content.empty()) return "";
  return std::string(content.data(), strnlen(content.data(), content.size()));
}

absl::StatusOr<NetlinkSocket> NetlinkSocket::Open(uint32_t groups) {
  return OpenProtocol(NETLINK_ROUTE, groups);
}

absl::StatusOr<NetlinkSocket> NetlinkSocket::OpenNetfilter(uint32_t groups) {
  PINION_ASSIGN_OR_RETURN(NetlinkSocket socket,
                          OpenProtocol(NETLINK_NETFILTER, groups));
  // A transaction is one message. Without CAP_NET_ADMIN the default has to do.
  const int bytes = 16 << 20;
  (void)setsockopt(socket.fd(), SOL_SOCKET, SO_SNDBUFFORCE, &bytes,
                   sizeof(bytes));
  return socket;
}

absl::StatusOr<NetlinkSocket> NetlinkSocket::OpenProtocol(int protocol,
                                                          uint32_t groups) {
  int type = SOCK_RAW | SOCK_CLOEXEC;
  if (groups != 0) type |= SOCK_NONBLOCK;
  UniqueFd fd(socket(AF_NETLINK, type, protocol));
  if (!fd.valid()) return ErrnoStatus("socket AF_NETLINK");
  // Both only make errors shorter and clearer; older kernels lack them.
  const int one = 1;
  (void)setsockopt(fd.get(), SOL_NETLINK, NETLINK_CAP_ACK, &one, sizeof(one));
  (void)setsockopt(fd.get(), SOL_NETLINK, NETLINK_EXT_ACK, &one, sizeof(one));
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  address.nl_groups = groups;
  if (bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) !=
      0) {
    return ErrnoStatus("bind AF_NETLINK");
  }
  const int number = fd.get();
  return NetlinkSocket(std::move(fd), number);
}

NetlinkSocket NetlinkSocket::Borrow(int fd) {
  return NetlinkSocket(UniqueFd(), fd);
}

absl::Status NetlinkSocket::Send(NetlinkBatch& batch, uint32_t first_sequence) {
  uint32_t sequence = first_sequence;
  for (const NetlinkBatch::Request& request : batch.requests_) {
    batch.Header(request.offset)->nlmsg_seq = sequence++;
  }
  sockaddr_nl kernel{};
  kernel.nl_family = AF_NETLINK;
  ssize_t sent;
  do {
    sent = sendto(fd_, batch.bytes_.data(), batch.bytes_.size(), 0,
                  reinterpret_cast<sockaddr*>(&kernel), sizeof(kernel));
  } while (sent < 0 && errno == EINTR);
  if (sent < 0) return Failure(errno, "sendto netlink");
  return absl::OkStatus();
}

absl::StatusOr<std::span<const char>> NetlinkSocket::ReceiveOne(
    std::vector<char>& buffer) {
  for (;;) {
    // Never waits: the kernel has handled a request, and queued its answer,
    // when sendto returns; the rest of a dump is made while it is read.
    const ssize_t got =
        recv(fd_, buffer.data(), buffer.size(), MSG_DONTWAIT | MSG_TRUNC);
    if (got >= 0) {
      if (static_cast<size_t>(got) > buffer.size()) {
        return absl::InternalError("recv netlink: a truncated message");
      }
      return std::span<const char>(buffer.data(), static_cast<size_t>(got));
    }
    if (errno == EINTR) continue;
    if (errno == EAGAIN) return std::span<const char>();
    if (errno == ENOBUFS) {
      return absl::UnavailableError("recv netlink: ENOBUFS");
    }
    return Failure(errno, "recv netlink");
  }
}

absl::Status NetlinkSocket::Transact(NetlinkBatch& batch, size_t unanswered) {
  if (batch.count() <= unanswered) return absl::OkStatus();
  // Errors are always told; only the end needs an acknowledgement.
  const size_t last = batch.count() - unanswered - 1;
  batch.Header(batch.requests_[last].offset)->nlmsg_flags |= NLM_F_ACK;
  const uint32_t first = NextSequence(batch.count());
  PINION_RETURN_IF_ERROR(Send(batch, first));
  absl::Status result;
  bool done = false;
  std::vector<char> buffer(4096);
  while (!done) {
    PINION_ASSIGN_OR_RETURN(const std::span<const char> datagram,
                            ReceiveOne(buffer));
    if (datagram.empty()) {
      // A batch that is refused as a whole is not answered to its end.
      if (!result.ok()) return result;
      return absl::InternalError(
          absl::StrCat(batch.requests_[last].what, ": no answer"));
    }
    ForEachMessage(
        datagram, [&](const nlmsghdr& header, const NetlinkMessage& message) {
          const uint32_t index = header.nlmsg_seq - first;
          const auto* answer = message.header<nlmsgerr>();
          if (index >= batch.count() || header.nlmsg_type != NLMSG_ERROR ||
              answer == nullptr) {
            return;
          }
          if (answer->error != 0 && result.ok()) {
            result = Failure(-answer->error, batch.requests_[index].what,
                             Explanation(header, message));
          }
          if (index == last) done = true;
        });
  }
  return result;
}

absl::Status NetlinkSocket::Query(
    NetlinkBatch& batch,
    const std::function<void(const NetlinkMessage&)>& each) {
  std::vector<std::vector<char>> answers;
  bool whole = false;
  for (int i = 0; i < kDumpAttempts && !whole; ++i) {
    answers.clear();
    PINION_ASSIGN_OR_RETURN(whole, QueryOnce(batch, &answers));
  }
  if (!whole) {
    Log(LogLevel::kWarning, "an answer of the kernel's may lack something",
        {{"request", batch.requests_.front().what},
         {"attempts", kDumpAttempts}});
  }
  for (const std::vector<char>& answer : answers) each(NetlinkMessage(answer));
  return absl::OkStatus();
}

absl::StatusOr<bool> NetlinkSocket::QueryOnce(
    NetlinkBatch& batch, std::vector<std::vector<char>>* answers) {
  nlmsghdr* const request = batch.Header(0);
  const bool dump = (request->nlmsg_flags & NLM_F_DUMP) == NLM_F_DUMP;
  if (!dump) request->nlmsg_flags |= NLM_F_ACK;
  const uint32_t first = NextSequence(1);
  PINION_RETURN_IF_ERROR(Send(batch, first));
  const std::string& what = batch.requests_.front().what;
  absl::Status result;
  bool done = false;
  bool whole = true;
  std::vector<char> buffer(kBufferBytes);
  while (!done) {
    PINION_ASSIGN_OR_RETURN(const std::span<const char> datagram,
                            ReceiveOne(buffer));
    if (datagram.empty()) {
      return absl::InternalError(absl::StrCat(what, ": no answer"));
    }
    ForEachMessage(datagram, [&](const nlmsghdr& header,
                                 const NetlinkMessage& message) {
      if (header.nlmsg_seq != first) return;
      if ((header.nlmsg_flags & NLM_F_DUMP_INTR) != 0) whole = false;
      if (header.nlmsg_type == NLMSG_DONE) {
        done = true;
      } else if (header.nlmsg_type == NLMSG_ERROR) {
        const auto* answer = message.header<nlmsgerr>();
        if (answer != nullptr && answer->error != 0) {
          result = Failure(-answer->error, what, Explanation(header, message));
        }
        done = true;
      } else {
        const auto* bytes = reinterpret_cast<const char*>(&header);
        answers->emplace_back(bytes, bytes + header.nlmsg_len);
      }
    });
  }
  PINION_RETURN_IF_ERROR(result);
  return whole;
}

absl::Status NetlinkSocket::Receive(
    const std::function<void(const NetlinkMessage&)>& each) {
  std::vector<char> buffer(kBufferBytes);
  absl::Status lost;
  for (;;) {
    const absl::StatusOr<std::span<const char>> datagram = ReceiveOne(buffer);
    if (absl::IsUnavailable(datagram.status())) {
      // It is told once, and until the queue is empty the kernel adds nothing
      // to it (NETLINK_S_CONGESTED): whoever looked at everything now would
      // not hear of what changes meanwhile.
      lost = datagram.status();
      continue;
    }
    PINION_RETURN_IF_ERROR(datagram.status());
    if (datagram->empty()) return lost;
    ForEachMessage(
        *datagram,
        [&](const nlmsghdr&, const NetlinkMessage& message) { each(message); });
  }
}

int NetlinkErrno(const absl::Status& status) {
  const absl::optional<absl::Cord> payload = status.GetPayload(kErrnoPayload);
  int error = 0;
  if (payload && !absl::SimpleAtoi(std::string(*payload), &error)) return 0;
  return error;
}

}  // namespace pinion::os
