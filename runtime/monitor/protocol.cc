#include "runtime/monitor/protocol.h"

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace pinion::monitor {
namespace {

constexpr size_t Padded(size_t size) { return (size + 7) & ~size_t{7}; }

// Control data of more descriptors than we take: the kernel then hands over
// all that a peer may send us, and we close them, where a smaller buffer
// would cut the list (MSG_CTRUNC), which is refused as well.
constexpr size_t kControlFds = 32;

}  // namespace

bool ReceivedFds::Add(int fd) {
  if (count_ == kMaxMessageFds) {
    close(fd);
    return false;
  }
  fds_[count_++] = fd;
  return true;
}

int ReceivedFds::Take(size_t index) {
  if (index >= count_) return -1;
  const int fd = fds_[index];
  fds_[index] = -1;
  return fd;
}

void ReceivedFds::CloseAll() {
  for (size_t i = 0; i < count_; ++i) {
    if (fds_[i] >= 0) close(fds_[i]);
  }
  count_ = 0;
}

MessageWriter::MessageWriter(char* buffer, size_t capacity, uint16_t type,
                             uint64_t sequence)
    : buffer_(buffer),
      capacity_(capacity < kMaxMessage ? capacity : kMaxMessage) {
  if (capacity_ < sizeof(MessageHeader)) return;
  valid_ = true;
  size_ = sizeof(MessageHeader);
  MessageHeader header = {};
  header.magic = kMagic;
  header.version = kProtocolVersion;
  header.type = type;
  header.sequence = sequence;
  memcpy(buffer_, &header, sizeof(header));
}

void MessageWriter::PutBytes(uint16_t tag, std::string_view value) {
  if (!valid_ || value.size() > kMaxMessage ||
      sizeof(FieldHeader) + Padded(value.size()) > capacity_ - size_) {
    valid_ = false;
    return;
  }
  FieldHeader field = {};
  field.tag = tag;
  field.size = static_cast<uint32_t>(value.size());
  memcpy(buffer_ + size_, &field, sizeof(field));
  size_ += sizeof(field);
  if (!value.empty()) memcpy(buffer_ + size_, value.data(), value.size());
  memset(buffer_ + size_ + value.size(), 0,
         Padded(value.size()) - value.size());
  size_ += Padded(value.size());
}

void MessageWriter::PutNumber(uint16_t tag, uint64_t value) {
  char bytes[sizeof(value)];
  memcpy(bytes, &value, sizeof(value));
  PutBytes(tag, std::string_view(bytes, sizeof(bytes)));
}

void MessageWriter::PutFd(uint16_t tag, int fd) {
  if (fd < 0) return;
  if (fd_count_ == kMaxMessageFds) {
    valid_ = false;
    return;
  }
  PutNumber(tag, fd_count_);
  fds_[fd_count_++] = fd;
}

std::string_view MessageWriter::Finish() {
  if (!valid_) return {};
  const uint32_t length = static_cast<uint32_t>(size_);
  memcpy(buffer_ + offsetof(MessageHeader, length), &length, sizeof(length));
  return std::string_view(buffer_, size_);
}

bool MessageReader::Parse(const char* data, size_t size) {
  data_ = nullptr;
  size_ = 0;
  if (size < sizeof(MessageHeader) || size > kMaxMessage) return false;
  memcpy(&header_, data, sizeof(header_));
  if (header_.magic != kMagic || header_.length != size) return false;
  size_t at = sizeof(MessageHeader);
  while (at < size) {
    if (size - at < sizeof(FieldHeader)) return false;
    FieldHeader field;
    memcpy(&field, data + at, sizeof(field));
    at += sizeof(field);
    if (field.size > size - at || Padded(field.size) > size - at) return false;
    at += Padded(field.size);
  }
  data_ = data;
  size_ = size;
  return true;
}

bool MessageReader::Next(size_t* cursor, uint16_t* tag,
                         std::string_view* value) const {
  const size_t at = *cursor == 0 ? sizeof(MessageHeader) : *cursor;
  if (data_ == nullptr || at >= size_) return false;
  FieldHeader field;
  memcpy(&field, data_ + at, sizeof(field));
  *tag = field.tag;
  *value = std::string_view(data_ + at + sizeof(field), field.size);
  *cursor = at + sizeof(field) + Padded(field.size);
  return true;
}

std::string_view MessageReader::Bytes(uint16_t tag) const {
  size_t cursor = 0;
  uint16_t found = 0;
  std::string_view value;
  while (Next(&cursor, &found, &value)) {
    if (found == tag) return value;
  }
  return {};
}

uint64_t MessageReader::Number(uint16_t tag, uint64_t fallback) const {
  const std::string_view bytes = Bytes(tag);
  uint64_t value = 0;
  if (bytes.size() != sizeof(value)) return fallback;
  memcpy(&value, bytes.data(), sizeof(value));
  return value;
}

int MessageReader::TakeFd(uint16_t tag, ReceivedFds* fds) const {
  const uint64_t index = Number(tag, kMaxMessageFds);
  return index < kMaxMessageFds ? fds->Take(index) : -1;
}

int SendMessage(int socket, std::string_view bytes, const int* fds,
                size_t fd_count) {
  iovec part = {const_cast<char*>(bytes.data()), bytes.size()};
  msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kMaxMessageFds)] = {};
  if (fd_count > kMaxMessageFds) return EINVAL;
  if (fd_count > 0) {
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(sizeof(int) * fd_count);
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int) * fd_count);
    memcpy(CMSG_DATA(header), fds, sizeof(int) * fd_count);
  }
  while (sendmsg(socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
    if (errno != EINTR) return errno;
  }
  return 0;
}

int64_t ReceiveMessage(int socket, char* buffer, size_t capacity,
                       ReceivedFds* fds) {
  iovec part = {buffer, capacity};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kControlFds)];
  msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof(control);
  ssize_t size = -1;
  while ((size = recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC)) <
         0) {
    if (errno != EINTR) return -errno;
  }
  bool bad = (message.msg_flags & MSG_TRUNC) != 0;
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr;
       header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) {
      continue;
    }
    const size_t bytes = header->cmsg_len - CMSG_LEN(0);
    for (size_t at = 0; at + sizeof(int) <= bytes; at += sizeof(int)) {
      int fd = -1;
      memcpy(&fd, CMSG_DATA(header) + at, sizeof(fd));
      if (!fds->Add(fd)) bad = true;
    }
  }
  // RLIMIT_NOFILE: the kernel gives what fits and says no more than this. A
  // request without one of its descriptors must not be mistaken for one that
  // had none.
  if ((message.msg_flags & MSG_CTRUNC) != 0) {
    fds->CloseAll();
    fds->SetCut();
  }
  if (bad) {
    fds->CloseAll();
    return -EBADMSG;
  }
  return size;
}

}  // namespace pinion::monitor
