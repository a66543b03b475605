#include "cri/streaming/spdy_headers.h"

#include <zlib.h>

#include <algorithm>
#include <cstdlib>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "cri/streaming/big_endian.h"

namespace pinion::cri::streaming {
namespace {

absl::Status Bad(const char* what) {
  return absl::InvalidArgumentError(absl::StrCat("SPDY headers: ", what));
}

Bytef* Bytes(const char* text) {
  // zlib 1.2 reads through pointers that are not const.
  return reinterpret_cast<Bytef*>(const_cast<char*>(text));
}

// A length-prefixed string, cut off the front of `rest`.
absl::StatusOr<std::string_view> TakeString(std::string_view* rest) {
  if (rest->size() < 4) return Bad("cut short");
  const uint32_t length = ReadBigEndian32(*rest, 0);
  rest->remove_prefix(4);
  if (length > rest->size()) return Bad("a length beyond the end");
  const std::string_view text = rest->substr(0, length);
  rest->remove_prefix(length);
  return text;
}

}  // namespace

absl::StatusOr<StreamHeaders> ParseHeaderBlock(std::string_view block) {
  if (block.size() < 4) return Bad("cut short");
  // The count is only a claim: what bounds the loop is the block's end.
  const uint32_t count = ReadBigEndian32(block, 0);
  block.remove_prefix(4);
  StreamHeaders headers;
  for (uint32_t i = 0; i < count; ++i) {
    PINION_ASSIGN_OR_RETURN(const std::string_view name, TakeString(&block));
    PINION_ASSIGN_OR_RETURN(const std::string_view value, TakeString(&block));
    if (name.empty()) return Bad("an empty name");
    if (std::any_of(name.begin(), name.end(), [](char c) {
          return absl::ascii_isupper(static_cast<unsigned char>(c));
        })) {
      return Bad("a name in upper case");
    }
    if (!headers.emplace(name, value).second) return Bad("a name twice");
  }
  if (!block.empty()) return Bad("bytes after the end");
  return headers;
}

struct HeaderInflater::State {
  z_stream stream = {};
};

HeaderInflater::HeaderInflater() : state_(std::make_unique<State>()) {
  // Fails for want of memory only, as new does.
  if (inflateInit(&state_->stream) != Z_OK) std::abort();
}

HeaderInflater::~HeaderInflater() { inflateEnd(&state_->stream); }

absl::StatusOr<StreamHeaders> HeaderInflater::Read(std::string_view block) {
  z_stream& stream = state_->stream;
  stream.next_in = Bytes(block.data());
  stream.avail_in = static_cast<uInt>(block.size());
  // One byte more than is allowed, to tell "too long" from "just fits".
  std::string plain(kMaxHeaderBlock + 1, '\0');
  stream.next_out = Bytes(plain.data());
  stream.avail_out = static_cast<uInt>(plain.size());
  while (stream.avail_in > 0) {
    const int result = inflate(&stream, Z_SYNC_FLUSH);
    if (result == Z_NEED_DICT) {
      const std::string& dictionary = SpdyDictionary();
      if (inflateSetDictionary(&stream, Bytes(dictionary.data()),
                               static_cast<uInt>(dictionary.size())) != Z_OK) {
        return Bad("another dictionary");
      }
      continue;
    }
    if (stream.avail_out == 0) return Bad("too long");
    if (result != Z_OK) return Bad("malformed compression");
  }
  plain.resize(plain.size() - stream.avail_out);
  return ParseHeaderBlock(plain);
}

struct HeaderDeflater::State {
  z_stream stream = {};
};

HeaderDeflater::HeaderDeflater() : state_(std::make_unique<State>()) {
  // A window of 2 KiB holds the dictionary; our headers are tiny.
  constexpr int kWindowBits = 11;
  constexpr int kMemoryLevel = 1;
  const std::string& dictionary = SpdyDictionary();
  if (deflateInit2(&state_->stream, Z_BEST_SPEED, Z_DEFLATED, kWindowBits,
                   kMemoryLevel, Z_DEFAULT_STRATEGY) != Z_OK ||
      deflateSetDictionary(&state_->stream, Bytes(dictionary.data()),
                           static_cast<uInt>(dictionary.size())) != Z_OK) {
    std::abort();
  }
}

HeaderDeflater::~HeaderDeflater() { deflateEnd(&state_->stream); }

std::string HeaderDeflater::Write(const StreamHeaders& headers) {
  std::string plain;
  AppendBigEndian32(static_cast<uint32_t>(headers.size()), &plain);
  for (const auto& [name, value] : headers) {
    AppendBigEndian32(static_cast<uint32_t>(name.size()), &plain);
    plain += name;
    AppendBigEndian32(static_cast<uint32_t>(value.size()), &plain);
    plain += value;
  }
  z_stream& stream = state_->stream;
  stream.next_in = Bytes(plain.data());
  stream.avail_in = static_cast<uInt>(plain.size());
  std::string packed;
  char piece[256];
  do {
    stream.next_out = Bytes(piece);
    stream.avail_out = sizeof(piece);
    deflate(&stream, Z_SYNC_FLUSH);
    packed.append(piece, sizeof(piece) - stream.avail_out);
  } while (stream.avail_out == 0);
  return packed;
}

}  // namespace pinion::cri::streaming
