// A client's connection: the socket itself, or TLS on it. Non-blocking.
//
// Not thread-safe; one session owns it.

#ifndef PINION_CRI_STREAMING_TRANSPORT_H_
#define PINION_CRI_STREAMING_TRANSPORT_H_

#include <cstddef>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "os/unique_fd.h"

namespace pinion::cri::streaming {

class Transport {
 public:
  enum class Result {
    kMoved,    // some bytes
    kBlocked,  // wait for the socket: see poll_read, poll_write
    kEnd,      // the peer is gone, in order or not
  };

  virtual ~Transport() = default;

  virtual int fd() const = 0;
  virtual Result Read(char* buffer, size_t size, size_t* moved) = 0;
  virtual Result Write(const char* bytes, size_t size, size_t* moved) = 0;
  // What poll(2) must wait for before the next Read or Write makes sense;
  // TLS may have to write to read.
  virtual short poll_read() const = 0;
  virtual short poll_write() const = 0;
  // Bytes that poll(2) does not know of: Read without waiting.
  virtual bool HasBuffered() const = 0;
  // Tells the peer that nothing more will come; Read still works.
  virtual void ShutdownWrite() = 0;
};

// `socket` is non-blocking and connected.
std::unique_ptr<Transport> NewPlainTransport(os::UniqueFd socket);

// The certificate chain and key of the server, for all its connections.
// Thread-safe once made.
class TlsServer {
 public:
  // PEM files. TLS 1.2 and up. InvalidArgument with OpenSSL's reason.
  static absl::StatusOr<std::unique_ptr<TlsServer>> Create(
      const std::string& certificate_file, const std::string& key_file);
  virtual ~TlsServer() = default;

  // The handshake happens within Read and Write.
  // Null for want of memory.
  virtual std::unique_ptr<Transport> Wrap(os::UniqueFd socket) = 0;
};

}  // namespace pinion::cri::streaming

#endif  // PINION_CRI_STREAMING_TRANSPORT_H_
