#include "image/authenticator.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/json.h"
#include "base/status_macros.h"
#include "image/byte_stream.h"
#include "image/reference.h"

namespace pinion::image {
namespace {

constexpr size_t kMaxTokenAnswer = size_t{1} << 20;

// Header values: nothing that could end the line.
bool IsVisible(const std::string& text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return c > ' ' && c <= '~'; });
}

std::string Basic(const Credentials& credentials) {
  return "Basic " + absl::Base64Escape(absl::StrCat(credentials.username, ":",
                                                    credentials.password));
}

// The host of "host", "host:port", "https://host/v1/" as people write them
// in Docker's configuration.
std::string HostOfAddress(const std::string& address) {
  const std::string text = address.find("://") == std::string::npos
                               ? absl::StrCat("https://", address)
                               : address;
  const auto url = ParseUrl(text);
  return url.ok() ? absl::StrCat(url->host, ":", url->port) : "";
}

}  // namespace

bool CredentialsApply(const Credentials& credentials, const Endpoint& endpoint,
                      const std::string& domain) {
  if (credentials.server_address.empty()) return endpoint.origin;
  const std::string named = HostOfAddress(credentials.server_address);
  if (named.empty()) return false;
  if (endpoint.origin) {
    // Docker's hub is written in several ways, and a port is often left out.
    const std::string host = named.substr(0, named.rfind(':'));
    return named == HostOfAddress(domain) ||
           (domain == kDockerDomain &&
            (host == kDockerEndpoint ||
             host == std::string("index.") + kDockerDomain)) ||
           named == absl::StrCat(endpoint.base.host, ":", endpoint.base.port);
  }
  return named == absl::StrCat(endpoint.base.host, ":", endpoint.base.port);
}

Authenticator::Authenticator(HttpClient* client, const Endpoint& endpoint,
                             std::string repository, Credentials credentials)
    : client_(client),
      endpoint_(endpoint),
      repository_(std::move(repository)),
      credentials_(std::move(credentials)) {
  if (credentials_.username.empty() && !credentials_.auth.empty()) {
    std::string decoded;
    const bool ok = absl::Base64Unescape(credentials_.auth, &decoded);
    const size_t colon = decoded.find(':');
    if (!ok || colon == std::string::npos) {
      malformed_ =
          absl::InvalidArgumentError("auth is not base64 of user:password");
    } else {
      credentials_.username = decoded.substr(0, colon);
      credentials_.password = decoded.substr(colon + 1);
    }
  }
  if (!IsVisible(credentials_.registry_token)) {
    malformed_ = absl::InvalidArgumentError("registry token is malformed");
  }
}

std::string Authenticator::Header() const {
  const absl::MutexLock lock(&mutex_);
  return header_;
}

absl::Status Authenticator::Answer(const HttpResponse& response,
                                   const std::string& used) {
  PINION_RETURN_IF_ERROR(malformed_);
  // Held while the token is fetched: the other layers need the same one.
  const absl::MutexLock lock(&mutex_);
  if (header_ != used) return absl::OkStatus();
  std::vector<Challenge> challenges;
  for (const std::string& value : response.Headers("www-authenticate")) {
    for (Challenge& challenge : ParseChallenges(value)) {
      challenges.push_back(std::move(challenge));
    }
  }
  PINION_ASSIGN_OR_RETURN(std::string made, Make(challenges));
  if (made == used) {
    return absl::PermissionDeniedError("registry refuses the credentials");
  }
  header_ = std::move(made);
  return absl::OkStatus();
}

absl::StatusOr<std::string> Authenticator::Make(
    const std::vector<Challenge>& challenges) {
  for (const Challenge& challenge : challenges) {
    if (challenge.scheme != "bearer") continue;
    if (!credentials_.registry_token.empty()) {
      return absl::StrCat("Bearer ", credentials_.registry_token);
    }
    PINION_ASSIGN_OR_RETURN_AS(const std::string token, FetchToken(challenge),
                               "token");
    return absl::StrCat("Bearer ", token);
  }
  for (const Challenge& challenge : challenges) {
    if (challenge.scheme == "basic" && has_password()) {
      return Basic(credentials_);
    }
  }
  return absl::PermissionDeniedError(
      challenges.empty() ? "registry answers 401 without a challenge"
                         : "registry wants credentials, and there are none");
}

absl::Status Authenticator::CheckRealm(const Url& realm) const {
  if (realm.scheme == "https") return absl::OkStatus();
  if (endpoint_.base.scheme == "http" && realm.host == endpoint_.base.host) {
    return absl::OkStatus();
  }
  return absl::PermissionDeniedError(absl::StrCat(
      "registry names a token service without https on another host: ",
      WithoutQuery(realm.text)));
}

// Never more than the right to pull, whatever the challenge says.
std::string Authenticator::Scope(const Challenge& challenge) const {
  std::string name = repository_;
  const auto given = challenge.params.find("scope");
  if (given != challenge.params.end()) {
    const std::vector<std::string> parts = absl::StrSplit(given->second, ':');
    if (parts.size() == 3 && parts[0] == "repository" && !parts[1].empty()) {
      name = parts[1];
    }
  }
  return absl::StrCat("repository:", name, ":pull");
}

absl::StatusOr<std::string> Authenticator::FetchToken(
    const Challenge& challenge) {
  const auto realm = challenge.params.find("realm");
  if (realm == challenge.params.end()) {
    return absl::PermissionDeniedError("the challenge names no realm");
  }
  PINION_ASSIGN_OR_RETURN(const Url url, ParseUrl(realm->second));
  PINION_RETURN_IF_ERROR(CheckRealm(url));
  const auto service = challenge.params.find("service");
  std::string query = absl::StrCat("scope=", EscapeUrl(Scope(challenge)));
  if (service != challenge.params.end()) {
    absl::StrAppend(&query, "&service=", EscapeUrl(service->second));
  }
  HttpRequest request;
  request.url = url;
  if (url.Origin() == endpoint_.base.Origin()) request.tls = endpoint_.tls;
  if (!credentials_.identity_token.empty()) {
    request.form =
        absl::StrCat("grant_type=refresh_token&client_id=pinion&", query,
                     "&refresh_token=", EscapeUrl(credentials_.identity_token));
  } else {
    const char* const joint =
        url.text.find('?') == std::string::npos ? "?" : "&";
    PINION_ASSIGN_OR_RETURN(request.url,
                            ParseUrl(absl::StrCat(url.text, joint, query)));
    if (has_password()) {
      request.headers.emplace_back("Authorization", Basic(credentials_));
    }
  }
  PINION_ASSIGN_OR_RETURN(const auto transfer, client_->Start(request));
  return ReadToken(*transfer);
}

absl::StatusOr<std::string> Authenticator::ReadToken(HttpTransfer& transfer) {
  const int status = transfer.response().status;
  if (status == 429 || status >= 500) {
    return absl::UnavailableError(
        absl::StrCat("token service answers ", status));
  }
  if (status != 200) {
    return absl::PermissionDeniedError(
        absl::StrCat("token service answers ", status));
  }
  PINION_ASSIGN_OR_RETURN(const std::string body,
                          ReadStream(transfer, kMaxTokenAnswer));
  PINION_ASSIGN_OR_RETURN(const Json json, ParseJsonObject(body, "answer"));
  PINION_ASSIGN_OR_RETURN(std::string token, JsonString(json, "token"));
  if (token.empty()) {
    PINION_ASSIGN_OR_RETURN(token, JsonString(json, "access_token"));
  }
  if (token.empty() || !IsVisible(token)) {
    return absl::PermissionDeniedError("token service answers no token");
  }
  return token;
}

}  // namespace pinion::image
