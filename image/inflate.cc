#include "image/inflate.h"

#include <isa-l/igzip_lib.h>
#include <zstd.h>

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace pinion::image {
namespace {

constexpr size_t kOutput = size_t{128} << 10;
constexpr int kZstdWindowLogMax = 25;
constexpr std::string_view kGzipMagic("\x1f\x8b", 2);
constexpr std::string_view kZstdMagic("\x28\xb5\x2f\xfd", 4);

absl::Status Corrupt(const std::string& why) {
  return absl::InvalidArgumentError(absl::StrCat("corrupt layer: ", why));
}

// The source with the bytes in front that the choice of format has read.
class Prefixed : public ByteStream {
 public:
  Prefixed(std::string head, ByteStream* source)
      : head_(std::move(head)), source_(source) {}

  absl::StatusOr<std::string_view> Next() override {
    if (!given_ && !head_.empty()) {
      given_ = true;
      return std::string_view(head_);
    }
    return source_->Next();
  }

 private:
  const std::string head_;
  ByteStream* const source_;
  bool given_ = false;
};

class Plain : public ByteStream {
 public:
  explicit Plain(std::unique_ptr<ByteStream> input)
      : input_(std::move(input)) {}
  absl::StatusOr<std::string_view> Next() override { return input_->Next(); }

 private:
  const std::unique_ptr<ByteStream> input_;
};

class Gunzip : public ByteStream {
 public:
  explicit Gunzip(std::unique_ptr<ByteStream> input)
      : input_(std::move(input)), output_(kOutput) {
    Restart();
  }

  absl::StatusOr<std::string_view> Next() override {
    state_.next_out = output_.data();
    state_.avail_out = kOutput;
    while (state_.avail_out == kOutput) {
      if (state_.avail_in == 0 && !ended_) PINION_RETURN_IF_ERROR(Fill());
      if (state_.block_state == ISAL_BLOCK_FINISH) {
        PINION_ASSIGN_OR_RETURN(const bool more, NextMember());
        if (!more) return std::string_view();
      }
      const uint32_t before = state_.avail_in;
      const int code = isal_inflate(&state_);
      if (code < 0) return Corrupt(absl::StrCat("gzip error ", code));
      if (ended_ && before == state_.avail_in && state_.avail_out == kOutput &&
          state_.block_state != ISAL_BLOCK_FINISH) {
        return Corrupt("gzip data ends early");
      }
    }
    return std::string_view(reinterpret_cast<const char*>(output_.data()),
                            kOutput - state_.avail_out);
  }

 private:
  void Restart() {
    uint8_t* const next_in = state_.next_in;
    const uint32_t avail_in = state_.avail_in;
    uint8_t* const next_out = state_.next_out;
    const uint32_t avail_out = state_.avail_out;
    isal_inflate_init(&state_);
    state_.crc_flag = ISAL_GZIP;
    state_.next_in = next_in;
    state_.avail_in = avail_in;
    state_.next_out = next_out;
    state_.avail_out = avail_out;
  }

  absl::Status Fill() {
    PINION_ASSIGN_OR_RETURN(const std::string_view chunk, input_->Next());
    ended_ = chunk.empty();
    // isal's pointer lacks the const that it keeps.
    state_.next_in =
        reinterpret_cast<uint8_t*>(const_cast<char*>(chunk.data()));
    state_.avail_in = static_cast<uint32_t>(chunk.size());
    return absl::OkStatus();
  }

  // After the end of a member: whether another follows. Zeros may pad the
  // end (RFC 1952 does not say so; gzip(1) and every registry client accept
  // it); anything else must be a member.
  absl::StatusOr<bool> NextMember() {
    while (true) {
      while (state_.avail_in > 0 && *state_.next_in == 0) {
        ++state_.next_in;
        --state_.avail_in;
      }
      if (state_.avail_in > 0) break;
      if (ended_) return false;
      PINION_RETURN_IF_ERROR(Fill());
    }
    if (*state_.next_in != 0x1f) return Corrupt("rubbish after the gzip data");
    Restart();
    return true;
  }

  const std::unique_ptr<ByteStream> input_;
  std::vector<uint8_t> output_;
  inflate_state state_ = {};
  bool ended_ = false;
};

class Unzstd : public ByteStream {
 public:
  explicit Unzstd(std::unique_ptr<ByteStream> input)
      : input_(std::move(input)),
        output_(kOutput),
        context_(ZSTD_createDCtx()) {
    ZSTD_DCtx_setParameter(context_.get(), ZSTD_d_windowLogMax,
                           kZstdWindowLogMax);
  }

  absl::StatusOr<std::string_view> Next() override {
    ZSTD_outBuffer out = {output_.data(), output_.size(), 0};
    while (out.pos == 0) {
      if (in_.pos == in_.size && flushed_) {
        PINION_ASSIGN_OR_RETURN(const std::string_view chunk, input_->Next());
        if (chunk.empty()) {
          if (!frame_done_) return Corrupt("zstd data ends early");
          return std::string_view();
        }
        in_ = {chunk.data(), chunk.size(), 0};
      }
      const size_t code = ZSTD_decompressStream(context_.get(), &out, &in_);
      if (ZSTD_isError(code) != 0) {
        return Corrupt(absl::StrCat("zstd: ", ZSTD_getErrorName(code)));
      }
      frame_done_ = code == 0;
      // zstd.h: room left in the output means that nothing is held back.
      flushed_ = frame_done_ || out.pos < out.size;
    }
    return std::string_view(output_.data(), out.pos);
  }

 private:
  struct Free {
    void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
  };

  const std::unique_ptr<ByteStream> input_;
  std::vector<char> output_;
  const std::unique_ptr<ZSTD_DCtx, Free> context_;
  ZSTD_inBuffer in_ = {nullptr, 0, 0};
  bool frame_done_ = true;
  bool flushed_ = true;
};

}  // namespace

absl::StatusOr<std::unique_ptr<ByteStream>> MakeInflateStream(
    ByteStream* source) {
  std::string head;
  while (head.size() < kZstdMagic.size()) {
    PINION_ASSIGN_OR_RETURN(const std::string_view chunk, source->Next());
    if (chunk.empty()) {
      // The stream must not be asked again, and so short it is neither.
      if (head.empty()) return Corrupt("it is empty");
      return Corrupt("it is shorter than any format");
    }
    head.append(chunk);
  }
  const bool gzip = head.compare(0, kGzipMagic.size(), kGzipMagic) == 0;
  const bool zstd = head.compare(0, kZstdMagic.size(), kZstdMagic) == 0;
  auto input = std::make_unique<Prefixed>(std::move(head), source);
  std::unique_ptr<ByteStream> result;
  if (gzip) {
    result = std::make_unique<Gunzip>(std::move(input));
  } else if (zstd) {
    result = std::make_unique<Unzstd>(std::move(input));
  } else {
    result = std::make_unique<Plain>(std::move(input));
  }
  return result;
}

}  // namespace pinion::image
