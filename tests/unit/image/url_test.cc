#include "image/url.h"

#include <gtest/gtest.h>

namespace pinion::image {
namespace {

TEST(UrlTest, KnowsWhoGetsSecrets) {
  EXPECT_EQ(ParseUrl("https://R.example/v2")->Origin(),
            "https://r.example:443");
  EXPECT_EQ(ParseUrl("http://[::1]:5000/")->Origin(), "http://[::1]:5000");
}

TEST(UrlTest, RefusesOtherSchemesAndUsers) {
  for (const char* text :
       {"", "x", "ftp://h/", "file:///etc/passwd", "https://user:pw@h/",
        "https://user@h/", "https://", "gopher://h"}) {
    EXPECT_FALSE(ParseUrl(text).ok()) << text;
  }
}

TEST(UrlTest, ResolvesLocations) {
  const Url base = *ParseUrl("https://h:8443/v2/a/blobs/x?y=z");
  EXPECT_EQ(ResolveUrl(base, "/other")->text, "https://h:8443/other");
  EXPECT_EQ(ResolveUrl(base, "//cdn.example/b?sig=1")->text,
            "https://cdn.example/b?sig=1");
  EXPECT_EQ(ResolveUrl(base, "http://plain.example/")->scheme, "http");
  EXPECT_FALSE(ResolveUrl(base, "file:///etc/passwd").ok());
  EXPECT_FALSE(ResolveUrl(base, "").ok());
}

TEST(UrlTest, EscapesAndHides) {
  EXPECT_EQ(EscapeUrl("a b&c/\xff~"), "a%20b%26c%2F%FF~");
  EXPECT_EQ(WithoutQuery("https://h/p?secret"), "https://h/p");
}

TEST(UrlTest, LoopbackIsThisMachine) {
  EXPECT_TRUE(IsLoopbackHost("127.0.0.1"));
  EXPECT_TRUE(IsLoopbackHost("localhost"));
  EXPECT_TRUE(IsLoopbackHost("[::1]"));
  EXPECT_FALSE(IsLoopbackHost("127.evil.example"));
  EXPECT_FALSE(IsLoopbackHost("10.0.0.1"));
}

}  // namespace
}  // namespace pinion::image
