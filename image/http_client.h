// HTTP GET and POST as pulled streams, over libcurl: HTTP/2 where there is
// TLS, proxies, no redirects (the caller judges them), no credentials of its
// own.
//
// HttpClient is thread-safe; it keeps the connections of finished transfers
// for the next ones. A transfer belongs to one thread at a time and must not
// outlive its client.
//
// Errors: Unavailable may be worth a retry (connect, reset, stall, short
// body); FailedPrecondition is not (certificate, local configuration);
// Cancelled after the token's Cancel.

#ifndef PINION_IMAGE_HTTP_CLIENT_H_
#define PINION_IMAGE_HTTP_CLIENT_H_

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "image/byte_stream.h"
#include "image/cancel_token.h"
#include "image/url.h"

namespace pinion::image {

struct TlsOptions {
  std::string ca_pem;  // trusted besides the system's
  std::string client_cert_file;
  std::string client_key_file;
  bool skip_verify = false;
};

struct ProxyOptions {
  // Empty: the environment's, in lower and in upper case.
  std::string http_proxy;
  std::string https_proxy;
  std::string no_proxy;
};

struct TransferLimits {
  std::chrono::seconds connect{20};
  // A transfer that brought fewer than min_bytes_per_second in so much
  // waiting has stalled. Time that the consumer takes does not count.
  std::chrono::seconds stall{30};
  uint64_t min_bytes_per_second = 1024;
};

struct HttpRequest {
  Url url;
  std::vector<std::pair<std::string, std::string>> headers;
  std::string form;  // not empty: POST with this body
  TlsOptions tls;
};

struct HttpResponse {
  int status = 0;
  // Names in lower case, in order.
  std::vector<std::pair<std::string, std::string>> headers;

  std::string Header(const std::string& name) const;  // the first, or empty
  std::vector<std::string> Headers(const std::string& name) const;
};

class HttpTransfer : public ByteStream {
 public:
  virtual const HttpResponse& response() const = 0;
};

class HttpClient {
 public:
  // `cancel` outlives the client.
  HttpClient(ProxyOptions proxy, TransferLimits limits,
             const CancelToken* cancel);
  ~HttpClient();

  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  // Returns when the response's header is there.
  absl::StatusOr<std::unique_ptr<HttpTransfer>> Start(
      const HttpRequest& request);

 private:
  friend class CurlTransfer;

  void* TakeMulti();
  void GiveMulti(void* multi);
  std::string ProxyFor(const Url& url) const;

  const ProxyOptions proxy_;
  const TransferLimits limits_;
  const CancelToken* const cancel_;
  absl::Mutex mutex_;
  std::vector<void*> idle_ ABSL_GUARDED_BY(mutex_);  // CURLM, with caches
};

}  // namespace pinion::image

#endif  // PINION_IMAGE_HTTP_CLIENT_H_
