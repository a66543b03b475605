#include "image/registry_client.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/json.h"
#include "base/status_macros.h"
#include "image/blob_stream.h"

namespace pinion::image {
namespace {

constexpr int kMaxRedirects = 10;
constexpr int kMaxAnswers = 2;  // to 401 in one request
constexpr size_t kMaxErrorBody = size_t{64} << 10;
// A mirror that does not answer must not hold up the pull for long.
constexpr int kMirrorTries = 2;

bool IsRedirect(int status) {
  return status == 301 || status == 302 || status == 303 || status == 307 ||
         status == 308;
}

std::string Printable(const std::string& text) {
  std::string result;
  for (const char c : text.substr(0, 300)) {
    result += absl::ascii_isprint(static_cast<unsigned char>(c)) ? c : '?';
  }
  return result;
}

// What the registry says in {"errors": [{"code": …, "message": …}]}.
std::string ErrorDetail(HttpTransfer& transfer) {
  const auto body = ReadStream(transfer, kMaxErrorBody);
  if (!body.ok()) return "";
  const auto json = ParseJsonObject(*body, "error");
  if (!json.ok()) return "";
  const auto errors = JsonArray(*json, "errors");
  if (!errors.ok() || *errors == nullptr || (*errors)->empty() ||
      !(**errors)[0].is_object()) {
    return "";
  }
  const auto code = JsonString((**errors)[0], "code");
  const auto message = JsonString((**errors)[0], "message");
  return absl::StrCat(": ", code.ok() ? Printable(*code) : "", " ",
                      message.ok() ? Printable(*message) : "");
}

absl::StatusCode CodeOf(int status) {
  if (status == 401 || status == 403) {
    return absl::StatusCode::kPermissionDenied;
  }
  if (status == 404) return absl::StatusCode::kNotFound;
  if (status == 408 || status == 429 || status >= 500) {
    return absl::StatusCode::kUnavailable;
  }
  return absl::StatusCode::kFailedPrecondition;
}

std::string ManifestAccept() {
  return absl::StrJoin(std::begin(kManifestTypes), std::end(kManifestTypes),
                       ", ");
}

}  // namespace

RegistryClient::RegistryClient(HttpClient* client, const CancelToken* cancel,
                               const Reference& reference,
                               std::vector<Endpoint> endpoints,
                               const Credentials& credentials,
                               RetryPolicy policy)
    : client_(client),
      cancel_(cancel),
      repository_(reference.path),
      policy_(policy) {
  for (Endpoint& endpoint : endpoints) {
    const bool apply =
        CredentialsApply(credentials, endpoint, reference.domain);
    auto authenticator = std::make_unique<Authenticator>(
        client, endpoint, reference.path, apply ? credentials : Credentials());
    remotes_.push_back({std::move(endpoint), std::move(authenticator)});
  }
}

absl::Status RegistryClient::Pause(int failures,
                                   std::chrono::seconds retry_after) const {
  auto pause = policy_.first_pause;
  for (int i = 1; i < failures && pause < policy_.max_pause; ++i) pause *= 2;
  pause = std::min(pause, policy_.max_pause);
  const std::chrono::milliseconds asked =
      std::min(retry_after, policy_.max_retry_after);
  return cancel_->Wait(std::max(pause, asked));
}

absl::StatusOr<std::unique_ptr<HttpTransfer>> RegistryClient::Follow(
    const Remote& remote, HttpRequest request, bool& left_origin) const {
  left_origin = false;
  for (int redirects = 0; redirects <= kMaxRedirects; ++redirects) {
    PINION_ASSIGN_OR_RETURN(auto transfer, client_->Start(request));
    if (!IsRedirect(transfer->response().status)) return transfer;
    PINION_ASSIGN_OR_RETURN_AS(
        const Url next,
        ResolveUrl(request.url, transfer->response().Header("location")),
        "redirect");
    if (request.url.scheme == "https" && next.scheme == "http") {
      return absl::PermissionDeniedError(absl::StrCat(
          "registry redirects from https to ", WithoutQuery(next.text)));
    }
    left_origin = next.Origin() != remote.endpoint.base.Origin();
    if (left_origin) {
      // Neither tokens nor configured headers nor the client's certificate
      // are meant for anyone else; nor do they come back later.
      std::erase_if(request.headers, [](const auto& header) {
        return header.first != "Accept" && header.first != "Range";
      });
      request.tls.client_cert_file.clear();
      request.tls.client_key_file.clear();
    }
    request.url = next;
  }
  return absl::UnavailableError(
      absl::StrCat("GET ", WithoutQuery(request.url.text), ": more than ",
                   kMaxRedirects, " redirects"));
}

absl::StatusOr<std::unique_ptr<HttpTransfer>> RegistryClient::Try(
    const Remote& remote, const Attempt& attempt,
    std::chrono::seconds& retry_after) const {
  retry_after = {};
  HttpRequest request;
  PINION_ASSIGN_OR_RETURN(
      request.url, ParseUrl(absl::StrCat(remote.endpoint.base.text, "/",
                                         repository_, "/", attempt.path)));
  request.tls = remote.endpoint.tls;
  const std::string url = WithoutQuery(request.url.text);
  for (int answers = 0;; ++answers) {
    const std::string authorization = remote.authenticator->Header();
    request.headers = remote.endpoint.headers;
    if (!attempt.accept.empty()) {
      request.headers.emplace_back("Accept", attempt.accept);
    }
    if (attempt.from > 0) {
      request.headers.emplace_back("Range",
                                   absl::StrCat("bytes=", attempt.from, "-"));
    }
    if (!authorization.empty()) {
      request.headers.emplace_back("Authorization", authorization);
    }
    bool left_origin = false;
    PINION_ASSIGN_OR_RETURN(auto transfer,
                            Follow(remote, request, left_origin));
    const HttpResponse& response = transfer->response();
    if (response.status == 200 || response.status == 206) return transfer;
    if (response.status == 401 && !left_origin && answers < kMaxAnswers) {
      PINION_RETURN_IF_ERROR_AS(
          remote.authenticator->Answer(response, authorization),
          absl::StrCat("GET ", url));
      continue;
    }
    int seconds = 0;
    if (absl::SimpleAtoi(response.Header("retry-after"), &seconds) &&
        seconds > 0) {
      retry_after = std::chrono::seconds(seconds);
    }
    return absl::Status(CodeOf(response.status),
                        absl::StrCat("GET ", url, ": ", response.status,
                                     ErrorDetail(*transfer)));
  }
}

absl::StatusOr<RegistryClient::Document> RegistryClient::GetDocumentFrom(
    const Remote& remote, const Attempt& attempt, bool last) {
  const int tries =
      last ? policy_.tries : std::min(policy_.tries, kMirrorTries);
  for (int failures = 1;; ++failures) {
    std::chrono::seconds retry_after{};
    absl::Status status;
    auto transfer = Try(remote, attempt, retry_after);
    if (transfer.ok()) {
      auto body = ReadStream(**transfer, kMaxJsonBytes);
      if (body.ok()) {
        const Digest digest = Sha256::Of(*body);
        return Document{*std::move(body),
                        (*transfer)->response().Header("content-type"), digest};
      }
      status = body.status();
    } else {
      status = transfer.status();
    }
    if (!absl::IsUnavailable(status) || failures >= tries) return status;
    PINION_RETURN_IF_ERROR(Pause(failures, retry_after));
  }
}

absl::StatusOr<RegistryClient::Document> RegistryClient::GetDocument(
    const std::string& name, bool by_tag) {
  const Attempt attempt = {absl::StrCat("manifests/", name), ManifestAccept()};
  absl::Status status = absl::NotFoundError(
      "no endpoint in the registry's hosts.toml may serve it");
  for (size_t i = 0; i < remotes_.size(); ++i) {
    const Endpoint& endpoint = remotes_[i].endpoint;
    if (by_tag ? !endpoint.resolve : !endpoint.pull) continue;
    auto document =
        GetDocumentFrom(remotes_[i], attempt, i + 1 == remotes_.size());
    if (document.ok()) {
      preferred_ = i;
      return document;
    }
    if (absl::IsCancelled(document.status())) return document.status();
    status = document.status();
  }
  return status;
}

absl::StatusOr<RegistryClient::Document> RegistryClient::GetManifestByTag(
    const std::string& tag) {
  return GetDocument(tag, /*by_tag=*/true);
}

absl::StatusOr<RegistryClient::Document> RegistryClient::GetManifest(
    const Digest& digest) {
  PINION_ASSIGN_OR_RETURN(Document document,
                          GetDocument(digest.text(), /*by_tag=*/false));
  PINION_RETURN_IF_ERROR(CheckDigest(document.digest, digest, "manifest"));
  return document;
}

absl::StatusOr<std::unique_ptr<ByteStream>> RegistryClient::OpenBlob(
    const Descriptor& descriptor) {
  return std::unique_ptr<ByteStream>(
      std::make_unique<BlobStream>(this, descriptor));
}

}  // namespace pinion::image
