// Answers a registry's 401: Basic, or a bearer token from the token service
// that the challenge names (distribution's token specification), for one
// endpoint of one repository.
//
// What keeps secrets where they belong: an Authenticator without credentials
// (a mirror's) has none to give; a password or refresh token goes to a token
// service over https only, or, for a registry that is spoken to in plain
// HTTP anyway, to its own host; no redirect is followed with it; only "pull"
// is ever asked for.
//
// Thread-safe: the layers of a pull share it.

#ifndef PINION_IMAGE_AUTHENTICATOR_H_
#define PINION_IMAGE_AUTHENTICATOR_H_

#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "image/challenge.h"
#include "image/hosts_config.h"
#include "image/http_client.h"
#include "image/image_service.h"

namespace pinion::image {

// Whether the credentials are meant for `endpoint` of the registry `domain`:
// the registry itself, or exactly the host that server_address names.
bool CredentialsApply(const Credentials& credentials, const Endpoint& endpoint,
                      const std::string& domain);

class Authenticator {
 public:
  // `repository`: the path. `client` outlives this object.
  Authenticator(HttpClient* client, const Endpoint& endpoint,
                std::string repository, Credentials credentials);

  // The value for the Authorization header; empty before the first 401.
  std::string Header() const;

  // After a 401 to a request that had `used` as its header: gets the next
  // one. PermissionDenied if there is nothing (new) to answer with.
  absl::Status Answer(const HttpResponse& response, const std::string& used);

 private:
  absl::StatusOr<std::string> Make(const std::vector<Challenge>& challenges);
  absl::StatusOr<std::string> FetchToken(const Challenge& challenge);
  absl::StatusOr<std::string> ReadToken(HttpTransfer& transfer);
  absl::Status CheckRealm(const Url& realm) const;
  std::string Scope(const Challenge& challenge) const;
  bool has_password() const { return !credentials_.username.empty(); }

  HttpClient* const client_;
  const Endpoint endpoint_;
  const std::string repository_;
  Credentials credentials_;
  absl::Status malformed_;

  mutable absl::Mutex mutex_;
  std::string header_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace pinion::image

#endif  // PINION_IMAGE_AUTHENTICATOR_H_
