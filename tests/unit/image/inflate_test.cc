#include "image/inflate.h"

#include <gtest/gtest.h>

#include <random>

#include "tests/support/tar_builder.h"
#include "tests/unit/image/string_stream.h"

namespace pinion::image {
namespace {

using ::pinion::testing::Gzip;
using ::pinion::testing::Zstd;

// Noise between runs, so that it compresses, but not to nothing.
std::string Sample(size_t size) {
  std::mt19937 random(7);
  std::string data;
  while (data.size() < size) {
    for (int i = 0; i < 100; ++i) data += static_cast<char>(random());
    data.append(random() % 300, 'x');
  }
  data.resize(size);
  return data;
}

absl::StatusOr<std::string> Inflate(const std::string& data, size_t chunk) {
  StringStream source(data, chunk);
  auto stream = MakeInflateStream(&source);
  if (!stream.ok()) return stream.status();
  return ReadStream(**stream, size_t{64} << 20);
}

struct Case {
  const char* name;
  std::string (*pack)(const std::string&);
};

class InflateTest : public ::testing::TestWithParam<Case> {};

TEST_P(InflateTest, GivesBackWhatWasPacked) {
  for (const size_t size : {size_t{5}, size_t{1000}, size_t{3'000'000}}) {
    const std::string data = Sample(size);
    for (const size_t chunk : {size_t{1}, size_t{17}, size_t{65536}}) {
      if (chunk == 1 && size > 100'000) continue;
      const auto result = Inflate(GetParam().pack(data), chunk);
      ASSERT_TRUE(result.ok()) << result.status() << " chunk " << chunk;
      EXPECT_TRUE(*result == data) << "chunk " << chunk;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    Formats, InflateTest,
    ::testing::Values(Case{"gzip", Gzip}, Case{"zstd", Zstd},
                      Case{"plain",
                           [](const std::string& data) { return data; }},
                      Case{"members",
                           [](const std::string& data) {
                             const size_t half = data.size() / 2;
                             return Gzip(data.substr(0, half)) + Gzip("") +
                                    Gzip(data.substr(half));
                           }},
                      Case{"padded",
                           [](const std::string& data) {
                             return Gzip(data) + std::string(1000, '\0');
                           }},
                      Case{"frames",
                           [](const std::string& data) {
                             const size_t half = data.size() / 2;
                             return Zstd(data.substr(0, half)) + Zstd("") +
                                    Zstd(data.substr(half));
                           }}),
    [](const auto& given) { return given.param.name; });

TEST(InflateErrorTest, TruncatedOrDamagedIsRefused) {
  for (const auto pack : {Gzip, Zstd}) {
    const std::string packed = pack(Sample(1'000'000));
    for (const size_t keep :
         {size_t{8}, packed.size() / 2, packed.size() - 1}) {
      const auto result = Inflate(packed.substr(0, keep), 4096);
      EXPECT_TRUE(absl::IsInvalidArgument(result.status())) << keep;
    }
    std::string damaged = packed;
    damaged[packed.size() / 2] = static_cast<char>(~damaged[packed.size() / 2]);
    const auto result = Inflate(damaged, 4096);
    EXPECT_TRUE(!result.ok() || *result != Sample(1'000'000));
  }
}

TEST(InflateErrorTest, GzipChecksumAndTailCount) {
  std::string packed = Gzip(Sample(1000));
  packed[packed.size() - 6] = static_cast<char>(~packed[packed.size() - 6]);
  EXPECT_FALSE(Inflate(packed, 4096).ok());
  EXPECT_FALSE(Inflate(Gzip("abc") + "rubbish", 4096).ok());
}

TEST(InflateErrorTest, NothingIsNoLayer) {
  EXPECT_FALSE(Inflate("", 1).ok());
  EXPECT_FALSE(Inflate("abc", 1).ok());
}

TEST(InflateErrorTest, AFrameThatWantsAHugeWindowIsRefused) {
  // Magic, a descriptor without single segment, window descriptor 2^31.
  const std::string frame("\x28\xb5\x2f\xfd\x00\xa8\x01\x00\x00", 9);
  EXPECT_TRUE(absl::IsInvalidArgument(Inflate(frame, 4096).status()));
}

TEST(HashingStreamTest, RefusesMoreThanItsLimit) {
  StringStream source(std::string(1000, 'x'), 100);
  HashingStream stream(&source, 999);
  EXPECT_TRUE(absl::IsInvalidArgument(stream.Drain()));
}

TEST(HashingStreamTest, HashesAllAndMayBeAskedAgain) {
  StringStream source("hello", 2);
  HashingStream stream(&source, 5);
  ASSERT_TRUE(stream.Drain().ok());
  EXPECT_TRUE(stream.Next()->empty());
  EXPECT_EQ(stream.size(), 5u);
  EXPECT_EQ(stream.Finish(), Sha256::Of("hello"));
}

}  // namespace
}  // namespace pinion::image
