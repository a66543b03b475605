#include "tests/support/tar_builder.h"

#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <cstring>

namespace pinion::testing {
namespace {

constexpr size_t kBlock = 512;

void Put(char* field, size_t size, const std::string& text) {
  std::memcpy(field, text.data(), std::min(size, text.size()));
}

void PutOctal(char* field, size_t size, uint64_t value) {
  for (size_t i = size - 1; i-- > 0; value /= 8) {
    field[i] = static_cast<char>('0' + value % 8);
  }
}

std::string Padded(std::string data) {
  data.resize((data.size() + kBlock - 1) / kBlock * kBlock, '\0');
  return data;
}

// ustar's header block (pax(1), "ustar Interchange Format").
std::string Header(const TarEntry& entry, uint64_t size) {
  char block[kBlock] = {};
  Put(block, 100, entry.name);
  PutOctal(block + 100, 8, entry.mode);
  PutOctal(block + 108, 8, entry.uid);
  PutOctal(block + 116, 8, entry.gid);
  PutOctal(block + 124, 12, size);
  PutOctal(block + 136, 12, static_cast<uint64_t>(entry.mtime));
  block[156] = entry.type;
  Put(block + 157, 100, entry.link);
  std::memcpy(block + 257,
              "ustar\0"
              "00",
              8);
  PutOctal(block + 329, 8, entry.major);
  PutOctal(block + 337, 8, entry.minor);
  std::memset(block + 148, ' ', 8);
  unsigned sum = 0;
  for (const char c : block) sum += static_cast<unsigned char>(c);
  PutOctal(block + 148, 7, sum);
  block[154] = '\0';
  return std::string(block, kBlock);
}

// "<length> key=value\n", where the length counts itself.
std::string PaxRecord(const std::string& key, const std::string& value) {
  const std::string body = " " + key + "=" + value + "\n";
  size_t length = body.size();
  while (std::to_string(length).size() + body.size() != length) {
    length = std::to_string(length).size() + body.size();
  }
  return std::to_string(length) + body;
}

}  // namespace

TarBuilder& TarBuilder::Add(const TarEntry& entry) {
  std::string records;
  for (const auto& [key, value] : entry.pax) records += PaxRecord(key, value);
  if (entry.name.size() > 100) records += PaxRecord("path", entry.name);
  if (entry.link.size() > 100) records += PaxRecord("linkpath", entry.link);
  if (!records.empty()) {
    TarEntry extended;
    extended.name = "pax";
    extended.type = 'x';
    data_ += Header(extended, records.size()) + Padded(records);
  }
  data_ += Header(entry, entry.content.size()) + Padded(entry.content);
  return *this;
}

TarBuilder& TarBuilder::File(const std::string& name,
                             const std::string& content, uint32_t mode) {
  TarEntry entry;
  entry.name = name;
  entry.content = content;
  entry.mode = mode;
  return Add(entry);
}

TarBuilder& TarBuilder::Dir(const std::string& name, uint32_t mode) {
  TarEntry entry;
  entry.name = name;
  entry.type = '5';
  entry.mode = mode;
  return Add(entry);
}

TarBuilder& TarBuilder::Symlink(const std::string& name,
                                const std::string& target) {
  TarEntry entry;
  entry.name = name;
  entry.type = '2';
  entry.link = target;
  return Add(entry);
}

TarBuilder& TarBuilder::HardLink(const std::string& name,
                                 const std::string& target) {
  TarEntry entry;
  entry.name = name;
  entry.type = '1';
  entry.link = target;
  return Add(entry);
}

std::string TarBuilder::Finish() const {
  return data_ + std::string(2 * kBlock, '\0');
}

std::string Gzip(const std::string& data) {
  z_stream stream = {};
  constexpr int kGzipWindow = 15 + 16;  // zlib.h: 16 selects gzip
  deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, kGzipWindow, 8,
               Z_DEFAULT_STRATEGY);
  std::string result(deflateBound(&stream, data.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(data.data()));
  stream.avail_in = static_cast<uInt>(data.size());
  stream.next_out = reinterpret_cast<Bytef*>(result.data());
  stream.avail_out = static_cast<uInt>(result.size());
  deflate(&stream, Z_FINISH);
  result.resize(stream.total_out);
  deflateEnd(&stream);
  return result;
}

std::string Zstd(const std::string& data) {
  std::string result(ZSTD_compressBound(data.size()), '\0');
  result.resize(
      ZSTD_compress(result.data(), result.size(), data.data(), data.size(), 3));
  return result;
}

}  // namespace pinion::testing
