// rtnetlink(7): requests are built by hand and sent in batches, because a
// pod's interface shall cost two system calls and not twenty.
//
// A netlink socket belongs to the network namespace it was made in, whatever
// thread or process uses it later; so another namespace is configured through
// a socket that was opened there, without setns(2).
//
// A NetlinkBatch belongs to one thread. A NetlinkSocket may be used by one
// thread at a time (the kernel takes one lock for all of rtnetlink anyway).

#ifndef PINION_OS_NETLINK_H_
#define PINION_OS_NETLINK_H_

#include <linux/netlink.h>
#include <stddef.h>

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "os/unique_fd.h"

namespace pinion::os {

// Requests, one behind the other.
class NetlinkBatch {
 public:
  // Starts a request of `type` (RTM_…) with the type's fixed header.
  // NLM_F_REQUEST is added to `flags`. `what` is for error messages: "add
  // address 10.0.0.2/24 to eth0".
  template <typename Header>
  void Begin(uint16_t type, uint16_t flags, const Header& header,
             std::string what) {
    BeginRaw(type, flags, &header, sizeof(header), std::move(what));
  }

  // Attributes of the request begun last.
  void Add(uint16_t type, const void* data, size_t size);
  void AddU8(uint16_t type, uint8_t value) { Add(type, &value, sizeof(value)); }
  void AddU32(uint16_t type, uint32_t value) {
    Add(type, &value, sizeof(value));
  }
  void AddString(uint16_t type, std::string_view value);

  // A fixed header inside a nested attribute (VETH_INFO_PEER).
  template <typename Header>
  void AddRaw(const Header& header) {
    Append(&header, sizeof(header));
    UpdateLength();
  }

  // What `body` adds becomes the content of a nested attribute.
  template <typename Body>
  void Nest(uint16_t type, Body body) {
    const size_t start = BeginNest(type);
    body();
    EndNest(start);
  }

  size_t count() const { return requests_.size(); }

 private:
  friend class NetlinkSocket;

  struct Request {
    size_t offset;
    std::string what;
  };

  void BeginRaw(uint16_t type, uint16_t flags, const void* header, size_t size,
                std::string what);
  void Append(const void* data, size_t size);
  void UpdateLength();
  size_t BeginNest(uint16_t type);
  void EndNest(size_t start);
  nlmsghdr* Header(size_t offset);

  std::vector<char> bytes_;
  std::vector<Request> requests_;
};

// A message from the kernel, with its attributes.
class NetlinkMessage {
 public:
  explicit NetlinkMessage(std::span<const char> bytes) : bytes_(bytes) {}

  uint16_t type() const;

  // The type's fixed header; nullptr if the message is too short.
  template <typename Header>
  const Header* header() const {
    if (bytes_.size() < NLMSG_HDRLEN + sizeof(Header)) return nullptr;
    return reinterpret_cast<const Header*>(bytes_.data() + NLMSG_HDRLEN);
  }

  // All attributes, given the size of the fixed header.
  std::span<const char> Attributes(size_t header_size) const;

  // The content of the first attribute of this type; empty if there is none.
  static std::span<const char> Find(std::span<const char> attributes,
                                    uint16_t type);
  static uint32_t U32(std::span<const char> content, uint32_t missing = 0);
  // Up to the first NUL.
  static std::string String(std::span<const char> content);

 private:
  std::span<const char> bytes_;
};

class NetlinkSocket {
 public:
  // In the calling thread's network namespace. `groups`: RTMGRP_… bits to
  // subscribe to; such a socket is non-blocking and for Receive only.
  static absl::StatusOr<NetlinkSocket> Open(uint32_t groups = 0);
  // For nfnetlink (nf_tables), in the calling thread's network namespace.
  // `groups`: as of Open, a bit for each NFNLGRP_….
  static absl::StatusOr<NetlinkSocket> OpenNetfilter(uint32_t groups = 0);
  // Another's NETLINK_ROUTE socket; it stays the owner's.
  static NetlinkSocket Borrow(int fd);

  int fd() const { return fd_; }

  // Sends all requests with one system call and waits for their end. The
  // kernel goes on after a request that fails; the status is of the first
  // failure: "add address 10.0.0.2/24 to eth0: EEXIST". An ErrnoStatus;
  // NetlinkErrno tells which. The last request but `unanswered` is the one
  // whose end is waited for (nfnetlink does not answer the end of a batch).
  absl::Status Transact(NetlinkBatch& batch, size_t unanswered = 0);

  // One request that is answered with messages (a dump if its flags have
  // NLM_F_DUMP); `each` is called for every one when all have come. A dump
  // that something has changed in the middle of may lack what was there all
  // the time (NLM_F_DUMP_INTR): it is made anew, a few times at most, and the
  // last one is logged and taken as it is.
  absl::Status Query(NetlinkBatch& batch,
                     const std::function<void(const NetlinkMessage&)>& each);

  // What a subscribed socket has got; returns when there is no more.
  // Unavailable if messages were lost (ENOBUFS): look at everything anew then.
  absl::Status Receive(const std::function<void(const NetlinkMessage&)>& each);

 private:
  NetlinkSocket(UniqueFd owned, int fd) : owned_(std::move(owned)), fd_(fd) {}

  static absl::StatusOr<NetlinkSocket> OpenProtocol(int protocol,
                                                    uint32_t groups);
  absl::Status Send(NetlinkBatch& batch, uint32_t first_sequence);
  // The messages that answer it; false if the dump was interrupted.
  absl::StatusOr<bool> QueryOnce(NetlinkBatch& batch,
                                 std::vector<std::vector<char>>* answers);
  // One datagram; 0 bytes if there is none.
  absl::StatusOr<std::span<const char>> ReceiveOne(std::vector<char>& buffer);

  UniqueFd owned_;
  int fd_;
};

// The errno in a status of NetlinkSocket; 0 if it carries none.
int NetlinkErrno(const absl::Status& status);

}  // namespace pinion::os

#endif  // PINION_OS_NETLINK_H_
