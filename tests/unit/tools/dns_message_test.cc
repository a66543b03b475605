#include "tools/dns_message.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace pinion::tools {
namespace {

using ::testing::HasSubstr;

constexpr uint16_t kId = 0x1234;
const DnsQuestion kQuestion = {"a.example", kDnsTypeA};

// The question sent back as an answer.
std::string Answer(int code, const DnsQuestion& question = kQuestion) {
  std::string message = DnsQuery(kId, question).value();
  message[2] = static_cast<char>(0x81);
  message[3] = static_cast<char>(0x80 | code);
  return message;
}

TEST(DnsMessageTest, AQueryAsTheRfcDrawsIt) {
  const std::string wanted(
      "\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00"
      "\x01"
      "a\x07"
      "example\x00\x00\x01\x00\x01",
      27);
  EXPECT_EQ(DnsQuery(kId, kQuestion).value(), wanted);
  EXPECT_EQ(DnsQuery(kId, {"a.example.", kDnsTypeA}).value(), wanted);
  EXPECT_EQ(DnsQuery(kId, {".", kDnsTypeNs})->size(), 17U);
  for (const std::string& name :
       {std::string("a..b"), std::string(64, 'x'), std::string(".x"), [] {
          std::string text;
          for (int i = 0; i < 130; ++i) text += "a.";
          return text;
        }()}) {
    EXPECT_FALSE(DnsQuery(kId, {name, kDnsTypeA}).ok()) << name;
  }
}

TEST(DnsMessageTest, TakesAnswersToItsQuestionOnly) {
  EXPECT_EQ(ParseDnsAnswer(Answer(0), kId, kQuestion)->code, 0);
  EXPECT_EQ(ParseDnsAnswer(Answer(5), kId, kQuestion)->code, 5);
  std::string other_case = Answer(0);
  other_case[13] = 'A';
  EXPECT_TRUE(ParseDnsAnswer(other_case, kId, kQuestion).ok());
  EXPECT_FALSE(ParseDnsAnswer(Answer(0), kId + 1, kQuestion).ok());
  EXPECT_FALSE(ParseDnsAnswer(Answer(0), kId, {"b.example", kDnsTypeA}).ok());
  EXPECT_FALSE(ParseDnsAnswer(*DnsQuery(kId, kQuestion), kId, kQuestion).ok());
  EXPECT_THAT(ParseDnsAnswer("hello", kId, kQuestion).status().message(),
              HasSubstr("too short"));
  for (size_t size = 0; size < Answer(0).size(); ++size) {
    EXPECT_FALSE(
        ParseDnsAnswer(Answer(0).substr(0, size), kId, kQuestion).ok());
  }
}

TEST(DnsMessageTest, ARefusalMayLeaveTheQuestionOut) {
  std::string message = Answer(5).substr(0, 12);
  message[5] = 0;
  EXPECT_EQ(ParseDnsAnswer(message, kId, kQuestion)->code, 5);
  message[3] = 0;
  EXPECT_FALSE(ParseDnsAnswer(message, kId, kQuestion).ok());
}

TEST(DnsMessageTest, AsksForWhatSuchAServerKnows) {
  EXPECT_EQ(QuestionFor({"ns.svc.cluster.local", "svc.cluster.local"}).name,
            "kubernetes.default.svc.cluster.local");
  EXPECT_EQ(QuestionFor({"example.com"}).name, ".");
  EXPECT_EQ(DnsCodeName(3), "NXDOMAIN");
  EXPECT_EQ(DnsCodeName(9), "code 9");
}

}  // namespace
}  // namespace pinion::tools
