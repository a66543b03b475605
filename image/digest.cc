#include "image/digest.h"

#include <openssl/evp.h>

#include <algorithm>
#include <cstdlib>

#include "absl/strings/str_cat.h"

namespace pinion::image {
namespace {

constexpr std::string_view kPrefix = "sha256:";

// libcrypto fails here only without memory or with a broken installation;
// an unverified image is no way on.
void Require(int ok) {
  if (ok != 1) std::abort();
}

}  // namespace

absl::StatusOr<Digest> Digest::Parse(std::string_view text) {
  const auto is_hex = [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
  };
  if (text.size() != kPrefix.size() + kHexLength ||
      text.substr(0, kPrefix.size()) != kPrefix ||
      !std::all_of(text.begin() + kPrefix.size(), text.end(), is_hex)) {
    return absl::InvalidArgumentError(
        absl::StrCat("malformed digest \"", std::string(text.substr(0, 100)),
                     "\": want sha256: and 64 lower-case hexadecimal digits"));
  }
  return Digest(std::string(text));
}

std::string Digest::hex() const {
  return empty() ? "" : text_.substr(kPrefix.size());
}

void Sha256::Free::operator()(evp_md_ctx_st* context) const {
  EVP_MD_CTX_free(context);
}

Sha256::Sha256() : context_(EVP_MD_CTX_new()) {
  Require(context_ != nullptr);
  Require(EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr));
}

Sha256::~Sha256() = default;

void Sha256::Update(std::string_view data) {
  Require(EVP_DigestUpdate(context_.get(), data.data(), data.size()));
}

Digest Sha256::Finish() {
  unsigned char bytes[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  Require(EVP_DigestFinal_ex(context_.get(), bytes, &size));
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text(kPrefix);
  for (unsigned int i = 0; i < size; ++i) {
    text += kDigits[bytes[i] >> 4];
    text += kDigits[bytes[i] & 15];
  }
  return Digest(std::move(text));
}

Digest Sha256::Of(std::string_view data) {
  Sha256 hasher;
  hasher.Update(data);
  return hasher.Finish();
}

absl::Status CheckDigest(const Digest& actual, const Digest& expected,
                         const std::string& what) {
  if (actual == expected) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      what, " is ", actual.text(), ", not ", expected.text(), " as promised"));
}

}  // namespace pinion::image
