// The frame of every message between the daemon and a pod monitor: one
// SOCK_SEQPACKET datagram is one message, a header and a list of tagged
// fields, in native byte order (both ends are on one machine). Descriptors
// travel beside it by SCM_RIGHTS; a field holds the index of each.
//
// The format is append-only: an old monitor talks to a new daemon. A field
// that the reader does not know is skipped, a field that is absent has its
// default, a tag or type is never used again for something else.
//
// Shared by both ends, so neither heap nor Abseil. Not thread-safe; each
// object belongs to one thread.

#ifndef PINION_RUNTIME_MONITOR_PROTOCOL_H_
#define PINION_RUNTIME_MONITOR_PROTOCOL_H_

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace pinion::monitor {

// 2: kStart may bring a root that is mounted already.
inline constexpr uint16_t kProtocolVersion = 2;
// Both ends refuse what is longer. Well below the default SO_SNDBUF.
inline constexpr size_t kMaxMessage = 32 * 1024;
inline constexpr size_t kMaxMessageFds = 6;

struct MessageHeader {
  uint32_t magic;    // kMagic
  uint16_t version;  // of the sender; says what it understands
  uint16_t type;
  uint32_t length;  // of the whole message
  uint32_t reserved;
  uint64_t sequence;  // of the request; 0 for what nobody asked for
};
static_assert(sizeof(MessageHeader) == 24);

struct FieldHeader {
  uint16_t tag;
  uint16_t reserved;
  uint32_t size;  // of the value; the next field starts 8-aligned after it
};
static_assert(sizeof(FieldHeader) == 8);

inline constexpr uint32_t kMagic = 0x4d4e4950;  // "PINM"

// Descriptors that came with a message: closes those that nobody took.
class ReceivedFds {
 public:
  ReceivedFds() = default;
  ~ReceivedFds() { CloseAll(); }
  ReceivedFds(const ReceivedFds&) = delete;
  ReceivedFds& operator=(const ReceivedFds&) = delete;

  // Closes `fd` and returns false when there are too many.
  bool Add(int fd);
  // -1 if there is none of that index, or it was taken before.
  int Take(size_t index);
  void CloseAll();
  size_t count() const { return count_; }

  // The receiver had no room for all of them (EMFILE), so it has none.
  void SetCut() { cut_ = true; }
  bool cut() const { return cut_; }

 private:
  bool cut_ = false;
  int fds_[kMaxMessageFds] = {};
  size_t count_ = 0;
};

// Builds one message in the caller's buffer (at most kMaxMessage of it). What
// does not fit makes the message invalid; nothing is written beyond the end.
class MessageWriter {
 public:
  MessageWriter(char* buffer, size_t capacity, uint16_t type,
                uint64_t sequence);

  void PutBytes(uint16_t tag, std::string_view value);
  void PutNumber(uint16_t tag, uint64_t value);
  // Borrowed: stays open until the message is sent. Negative: no field.
  void PutFd(uint16_t tag, int fd);

  bool valid() const { return valid_; }
  // Marks the message as invalid: a value that cannot be said.
  void Fail() { valid_ = false; }
  // Sets the length in the header.
  std::string_view Finish();
  const int* fds() const { return fds_; }
  size_t fd_count() const { return fd_count_; }

 private:
  char* const buffer_;
  const size_t capacity_;
  bool valid_ = false;
  size_t size_ = 0;
  size_t fd_count_ = 0;
  int fds_[kMaxMessageFds] = {};
};

// Reads one message in place; the bytes outlive the reader.
class MessageReader {
 public:
  // Checks the frame: magic, length, every field inside the message. False
  // if anything is wrong.
  bool Parse(const char* data, size_t size);

  uint16_t type() const { return header_.type; }
  uint16_t version() const { return header_.version; }
  uint64_t sequence() const { return header_.sequence; }

  // The first field of that tag; `fallback` if there is none (or it is not
  // eight bytes long).
  uint64_t Number(uint16_t tag, uint64_t fallback = 0) const;
  std::string_view Bytes(uint16_t tag) const;
  // The descriptor the field names, taken out of `fds`; -1 if there is none.
  int TakeFd(uint16_t tag, ReceivedFds* fds) const;

  // All fields in order: start with *cursor = 0; false at the end.
  bool Next(size_t* cursor, uint16_t* tag, std::string_view* value) const;

 private:
  MessageHeader header_ = {};
  const char* data_ = nullptr;
  size_t size_ = 0;
};

// One non-blocking sendmsg(2) without SIGPIPE. 0, or errno (EAGAIN: the peer
// does not read).
int SendMessage(int socket, std::string_view bytes, const int* fds,
                size_t fd_count);

// One non-blocking recvmsg(2); descriptors are close-on-exec. Returns the
// number of bytes, 0 at the end of the connection, or -errno. EBADMSG: longer
// than `capacity` or with too many descriptors (all of them are closed). When
// this process may open no more, the message comes without any (`cut`).
int64_t ReceiveMessage(int socket, char* buffer, size_t capacity,
                       ReceivedFds* fds);

}  // namespace pinion::monitor

#endif  // PINION_RUNTIME_MONITOR_PROTOCOL_H_
