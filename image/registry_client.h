// One repository of one registry (and its mirrors), over the distribution
// protocol: manifests and blobs.
//
// Thread-safe: the layers of a pull share it. A stream that it returned
// belongs to one thread at a time and must not outlive it.
//
// Endpoints are tried in order; network errors, 408, 429 and 5xx are tried
// again a bounded number of times with growing pauses. A blob goes on where
// it broke off (Range), at another endpoint if need be. Redirects are
// followed without credentials to any other origin, and never from https to
// http.
//
// Errors: NotFound, PermissionDenied, Unavailable as the registry or the
// network says; InvalidArgument for content that is not what was promised.

#ifndef PINION_IMAGE_REGISTRY_CLIENT_H_
#define PINION_IMAGE_REGISTRY_CLIENT_H_

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "image/authenticator.h"
#include "image/byte_stream.h"
#include "image/cancel_token.h"
#include "image/hosts_config.h"
#include "image/http_client.h"
#include "image/manifest.h"
#include "image/reference.h"

namespace pinion::image {

struct RetryPolicy {
  int tries = 5;  // in a row without progress
  std::chrono::milliseconds first_pause{200};
  std::chrono::milliseconds max_pause{10'000};
  std::chrono::seconds max_retry_after{30};  // of what the server asks for
};

class RegistryClient {
 public:
  struct Document {
    std::string body;
    std::string content_type;
    Digest digest;  // of the body
  };

  // `client` and `cancel` outlive this object.
  RegistryClient(HttpClient* client, const CancelToken* cancel,
                 const Reference& reference, std::vector<Endpoint> endpoints,
                 const Credentials& credentials, RetryPolicy policy = {});

  // By tag. What it is, the caller must check.
  absl::StatusOr<Document> GetManifestByTag(const std::string& tag);
  // By digest, verified.
  absl::StatusOr<Document> GetManifest(const Digest& digest);

  // The blob's bytes, as many as the descriptor says; the digest is the
  // reader's to check.
  absl::StatusOr<std::unique_ptr<ByteStream>> OpenBlob(
      const Descriptor& descriptor);

 private:
  friend class BlobStream;

  struct Remote {
    Endpoint endpoint;
    std::unique_ptr<Authenticator> authenticator;
  };
  struct Attempt {
    std::string path;    // below the endpoint's base
    std::string accept;  // may be empty
    uint64_t from = 0;   // first byte wanted
  };

  // One try: authentication and redirects included. An answer other than
  // 200 and 206 is an error; `retry_after` is what it asked for.
  absl::StatusOr<std::unique_ptr<HttpTransfer>> Try(
      const Remote& remote, const Attempt& attempt,
      std::chrono::seconds& retry_after) const;
  absl::StatusOr<std::unique_ptr<HttpTransfer>> Follow(const Remote& remote,
                                                       HttpRequest request,
                                                       bool& left_origin) const;

  absl::StatusOr<Document> GetDocument(const std::string& name, bool by_tag);
  absl::StatusOr<Document> GetDocumentFrom(const Remote& remote,
                                           const Attempt& attempt, bool last);

  // Waits before try number `failures` + 1.
  absl::Status Pause(int failures, std::chrono::seconds retry_after) const;

  HttpClient* const client_;
  const CancelToken* const cancel_;
  const std::string repository_;
  const RetryPolicy policy_;
  std::vector<Remote> remotes_;
  // The one that gave the manifest: blobs are asked for there first.
  std::atomic<size_t> preferred_{0};
};

}  // namespace pinion::image

#endif  // PINION_IMAGE_REGISTRY_CLIENT_H_
