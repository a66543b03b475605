// Content digests: "sha256:" and 64 lower-case hexadecimal digits, and the
// hasher that makes them.
//
// Digest is a value type. A Sha256 belongs to one thread at a time.

#ifndef PINION_IMAGE_DIGEST_H_
#define PINION_IMAGE_DIGEST_H_

#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

struct evp_md_ctx_st;

namespace pinion::image {

class Digest {
 public:
  static constexpr size_t kHexLength = 64;

  Digest() = default;  // empty: no digest

  // InvalidArgument for another algorithm or any other spelling; so text()
  // and hex() of a parsed digest are safe in a path.
  static absl::StatusOr<Digest> Parse(std::string_view text);

  bool empty() const { return text_.empty(); }
  // "sha256:…"
  const std::string& text() const { return text_; }
  // The digits alone.
  std::string hex() const;

  auto operator<=>(const Digest&) const = default;

 private:
  friend class Sha256;
  explicit Digest(std::string text) : text_(std::move(text)) {}

  std::string text_;
};

// Streaming SHA-256.
class Sha256 {
 public:
  Sha256();
  ~Sha256();

  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;

  void Update(std::string_view data);
  // Ends the computation; call once.
  Digest Finish();

  static Digest Of(std::string_view data);

 private:
  struct Free {
    void operator()(evp_md_ctx_st* context) const;
  };
  std::unique_ptr<evp_md_ctx_st, Free> context_;
};

// InvalidArgument naming both unless `actual` is `expected`.
absl::Status CheckDigest(const Digest& actual, const Digest& expected,
                         const std::string& what);

}  // namespace pinion::image

#endif  // PINION_IMAGE_DIGEST_H_
