#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "cri/streaming/transport.h"

namespace pinion::cri::streaming {
namespace {

struct FreeContext {
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
};
struct FreeSsl {
  void operator()(SSL* ssl) const { SSL_free(ssl); }
};
using ContextPtr = std::unique_ptr<SSL_CTX, FreeContext>;
using SslPtr = std::unique_ptr<SSL, FreeSsl>;

absl::Status SslError(const std::string& what) {
  char text[256] = "unknown error";
  const unsigned long code = ERR_get_error();
  if (code != 0) ERR_error_string_n(code, text, sizeof(text));
  ERR_clear_error();
  return absl::InvalidArgumentError(absl::StrCat(what, ": ", text));
}

class TlsTransport final : public Transport {
 public:
  TlsTransport(os::UniqueFd socket, SslPtr ssl)
      : socket_(std::move(socket)), ssl_(std::move(ssl)) {}

  int fd() const override { return socket_.get(); }

  Result Read(char* buffer, size_t size, size_t* moved) override {
    ERR_clear_error();
    const int result = SSL_read_ex(ssl_.get(), buffer, size, moved);
    return ToResult(result, POLLIN, &poll_read_);
  }

  Result Write(const char* bytes, size_t size, size_t* moved) override {
    ERR_clear_error();
    const int result = SSL_write_ex(ssl_.get(), bytes, size, moved);
    return ToResult(result, POLLOUT, &poll_write_);
  }

  short poll_read() const override { return poll_read_; }
  short poll_write() const override { return poll_write_; }
  bool HasBuffered() const override {
    // Whole records only: part of one is waited for like any input.
    return SSL_pending(ssl_.get()) > 0;
  }
  void ShutdownWrite() override {
    ERR_clear_error();
    // Sends close_notify if there is room; the end of the stream says the
    // same.
    SSL_shutdown(ssl_.get());
    shutdown(socket_.get(), SHUT_WR);
  }

 private:
  // SSL_get_error(3ssl).
  Result ToResult(int result, short usual, short* poll_for) {
    *poll_for = usual;
    if (result == 1) return Result::kMoved;
    switch (SSL_get_error(ssl_.get(), result)) {
      case SSL_ERROR_WANT_READ:
        *poll_for = POLLIN;
        return Result::kBlocked;
      case SSL_ERROR_WANT_WRITE:
        *poll_for = POLLOUT;
        return Result::kBlocked;
      default:
        return Result::kEnd;
    }
  }

  const os::UniqueFd socket_;
  const SslPtr ssl_;
  short poll_read_ = POLLIN;
  short poll_write_ = POLLOUT;
};

class TlsServerImpl final : public TlsServer {
 public:
  explicit TlsServerImpl(ContextPtr context) : context_(std::move(context)) {}

  std::unique_ptr<Transport> Wrap(os::UniqueFd socket) override {
    SslPtr ssl(SSL_new(context_.get()));
    if (ssl == nullptr || SSL_set_fd(ssl.get(), socket.get()) != 1) {
      return nullptr;
    }
    SSL_set_accept_state(ssl.get());
    return std::make_unique<TlsTransport>(std::move(socket), std::move(ssl));
  }

 private:
  const ContextPtr context_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<TlsServer>> TlsServer::Create(
    const std::string& certificate_file, const std::string& key_file) {
  ContextPtr context(SSL_CTX_new(TLS_server_method()));
  if (context == nullptr) return SslError("TLS");
  SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
  SSL_CTX_set_options(context.get(), SSL_OP_NO_RENEGOTIATION);
  // Buffers are freed while a connection is idle; a write may be repeated
  // from another place, as output moves in its buffer.
  SSL_CTX_set_mode(context.get(), SSL_MODE_RELEASE_BUFFERS |
                                      SSL_MODE_ENABLE_PARTIAL_WRITE |
                                      SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
  if (SSL_CTX_use_certificate_chain_file(context.get(),
                                         certificate_file.c_str()) != 1) {
    return SslError(absl::StrCat("certificate ", certificate_file));
  }
  if (SSL_CTX_use_PrivateKey_file(context.get(), key_file.c_str(),
                                  SSL_FILETYPE_PEM) != 1 ||
      SSL_CTX_check_private_key(context.get()) != 1) {
    return SslError(absl::StrCat("key ", key_file));
  }
  return std::make_unique<TlsServerImpl>(std::move(context));
}

}  // namespace pinion::cri::streaming
