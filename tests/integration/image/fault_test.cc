// A registry that misbehaves: faults.md, 12, and where secrets may go. Needs
// root (ownership).

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <random>
#include <thread>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "base/clock.h"
#include "tests/integration/image/registry_bed.h"
#include "tests/support/eventually.h"
#include "tests/support/http_server.h"
#include "tests/support/tar_builder.h"

namespace pinion::image {
namespace {

using ::pinion::testing::HttpServer;
using ::pinion::testing::MakeTestImage;
using ::pinion::testing::TarBuilder;
using ::pinion::testing::TestImage;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

using Request = HttpServer::Request;
using Connection = HttpServer::Connection;

std::string Noise(size_t size) {
  std::mt19937 random(3);
  std::string data(size, '\0');
  for (char& c : data) c = static_cast<char>(random());
  return data;
}

bool IsBlob(const Request& request) {
  return absl::StrContains(request.path, "/blobs/");
}

class FaultTest : public ::testing::Test {
 protected:
  // Takes a request that the registry would answer; false: it shall.
  using Fault = std::function<bool(const Request&, Connection&)>;

  // Longer than the tests' patience: a slow machine is no stall.
  static constexpr int kStallSeconds = 90;

  void SetUp() override { OpenStore(kStallSeconds); }

  void OpenStore(int stall_seconds) {
    store_.Close();
    store_.options().stall_seconds = stall_seconds;
    store_.Open();
  }

  void TearDown() override {
    if (expect_failure_) {
      EXPECT_THAT(store_.LayerNames(), IsEmpty());
      EXPECT_THAT(store_.service().List(), IsEmpty());
    }
  }

  // The image as an honest registry serves it, Range included.
  void Serve(const Request& request, Connection& connection) const {
    const std::string last = request.path.substr(request.path.rfind('/') + 1);
    if (absl::StrContains(request.path, "/manifests/")) {
      connection.Answer(200, image_.manifest,
                        {"Content-Type: " + image_.manifest_type});
      return;
    }
    const auto blob = image_.blobs.find(last);
    if (blob == image_.blobs.end()) {
      connection.Answer(404, R"({"errors":[{"code":"BLOB_UNKNOWN"}]})");
      return;
    }
    const size_t from = RangeStart(request);
    if (from == 0) {
      connection.Answer(200, blob->second);
      return;
    }
    connection.Answer(
        206, blob->second.substr(from),
        {absl::StrCat("Content-Range: bytes ", from, "-",
                      blob->second.size() - 1, "/", blob->second.size())});
  }

  static size_t RangeStart(const Request& request) {
    const std::string range = request.Header("range");
    return range.empty() ? 0 : std::stoul(range.substr(sizeof("bytes=") - 1));
  }

  bool IsLayer(const Request& request) const {
    return absl::EndsWith(request.path, image_.layer_digests[0]);
  }

  void Start(Fault fault) {
    server_ = std::make_unique<HttpServer>(
        [this, fault](const Request& request, Connection& connection) {
          if (!fault(request, connection)) Serve(request, connection);
        });
  }

  absl::StatusOr<std::string> Pull(const Credentials& credentials = {}) {
    return store_.service().Pull(server_->address() + "/app:v1", credentials);
  }

  void ExpectPull(const Credentials& credentials = {}) {
    const auto id = Pull(credentials);
    ASSERT_TRUE(id.ok()) << id.status();
    EXPECT_EQ(*id, image_.config_digest);
    EXPECT_EQ(store_.Read(*store_.service().Find(*id), "f"), content_);
  }

  absl::Status ExpectFailure(const Credentials& credentials = {}) {
    expect_failure_ = true;
    const absl::Status status = Pull(credentials).status();
    EXPECT_FALSE(status.ok());
    return status;
  }

  size_t CountLayerRequests() const {
    size_t count = 0;
    for (const Request& request : server_->requests()) {
      if (IsLayer(request)) ++count;
    }
    return count;
  }

  const std::string content_ = Noise(1'000'000);
  const TestImage image_ =
      MakeTestImage({TarBuilder().File("f", content_).Finish()});
  StoreBed store_;
  std::unique_ptr<HttpServer> server_;
  bool expect_failure_ = false;
};

TEST_F(FaultTest, ResetsEvery64KiBAreResumed) {
  Start([this](const Request& request, Connection& connection) {
    if (!IsLayer(request)) return false;
    const std::string& blob = image_.blobs.at(image_.layer_digests[0]);
    const size_t from = RangeStart(request);
    std::string head = absl::StrCat(
        from == 0 ? "HTTP/1.1 200 OK\r\n" : "HTTP/1.1 206 Partial\r\n",
        "Content-Length: ", blob.size() - from, "\r\n");
    if (from > 0) {
      absl::StrAppend(&head, "Content-Range: bytes ", from, "-",
                      blob.size() - 1, "/", blob.size(), "\r\n");
    }
    connection.Send(head + "\r\n" + blob.substr(from, 65'536));
    return true;  // and the connection ends
  });
  ExpectPull();
  EXPECT_GE(CountLayerRequests(), 15u);
  EXPECT_LE(CountLayerRequests(), 40u);
}

TEST_F(FaultTest, AServerThatKnowsNoRangesIsSkippedThrough) {
  std::atomic<int> requests{0};
  Start([&, this](const Request& request, Connection& connection) {
    if (!IsLayer(request)) return false;
    const std::string& blob = image_.blobs.at(image_.layer_digests[0]);
    if (++requests == 1) {
      connection.Send(
          absl::StrCat("HTTP/1.1 200 OK\r\nContent-Length: ", blob.size(),
                       "\r\n\r\n", blob.substr(0, 100'000)));
    } else {
      connection.Answer(200, blob);
    }
    return true;
  });
  ExpectPull();
  EXPECT_EQ(requests, 2);
}

TEST_F(FaultTest, OneByteASecondIsAStall) {
  std::atomic<bool> stop{false};
  Start([&](const Request& request, Connection& connection) {
    if (!IsBlob(request)) return false;
    connection.Send("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n");
    while (!stop && connection.Send("x")) {
      std::this_thread::sleep_for(std::chrono::milliseconds(200));
    }
    return true;
  });
  const absl::Status status = ExpectFailure();
  stop = true;
  server_.reset();  // its threads look at what is about to go
  // The announced length is not the configuration's: refused at once.
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << status;
}

TEST_F(FaultTest, AStallIsTriedAgainAndThenGivenUp) {
  std::atomic<bool> stop{false};
  std::atomic<int> stalls{0};
  Start([&, this](const Request& request, Connection& connection) {
    if (!IsLayer(request)) return false;
    const std::string& blob = image_.blobs.at(image_.layer_digests[0]);
    connection.Send(absl::StrCat(
        "HTTP/1.1 200 OK\r\nContent-Length: ", blob.size(), "\r\n\r\n"));
    ++stalls;
    while (!stop && connection.Send("x")) {
      std::this_thread::sleep_for(std::chrono::milliseconds(200));
    }
    return true;
  });
  OpenStore(1);
  const absl::Status status = ExpectFailure();
  // The server may be behind its client.
  EXPECT_TRUE(testing_support::Eventually([&] { return stalls >= 5; }));
  stop = true;
  server_.reset();  // its threads look at what is about to go
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  EXPECT_THAT(std::string(status.message()), StartsWith("RegistryUnavailable"));
  EXPECT_THAT(std::string(status.message()), HasSubstr("stalled"));
  EXPECT_EQ(stalls, 5);
}

TEST_F(FaultTest, AWrongDigestIsRefused) {
  Start([this](const Request& request, Connection& connection) {
    if (!IsLayer(request)) return false;
    std::string blob = image_.blobs.at(image_.layer_digests[0]);
    // gzip's header has a time that no checksum covers.
    blob[4] = static_cast<char>(blob[4] ^ 1);
    connection.Answer(200, blob);
    return true;
  });
  const absl::Status status = ExpectFailure();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(status.message()), HasSubstr("as promised"));
}

TEST_F(FaultTest, AWrongLengthIsRefused) {
  for (const int change : {-1, 1, 1'000'000}) {
    Start([this, change](const Request& request, Connection& connection) {
      if (!IsLayer(request)) return false;
      std::string blob = image_.blobs.at(image_.layer_digests[0]);
      blob.resize(blob.size() + static_cast<size_t>(change));
      // No length: the end of the connection ends the answer.
      connection.Send("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + blob);
      return true;
    });
    const absl::Status status = ExpectFailure();
    EXPECT_FALSE(status.ok()) << change;
  }
}

TEST_F(FaultTest, TooManyRequestsIsWaitedOut) {
  std::atomic<int> refusals{0};
  Start([&](const Request&, Connection& connection) {
    if (refusals++ >= 3) return false;
    connection.Answer(refusals == 1 ? 429 : 503, "", {"Retry-After: 1"});
    return true;
  });
  const Stopwatch stopwatch;
  ExpectPull();
  // What the answers ask for; a slow machine only takes longer.
  EXPECT_GE(stopwatch.Seconds(), 2.5);
}

TEST_F(FaultTest, EndlessRefusalsEnd) {
  Start([](const Request&, Connection& connection) {
    connection.Answer(503, "");
    return true;
  });
  const absl::Status status = ExpectFailure();
  EXPECT_TRUE(absl::IsUnavailable(status));
  EXPECT_EQ(server_->requests().size(), 5u);
}

TEST_F(FaultTest, ManifestBombsAndConfusionAreRefused) {
  for (const std::string& manifest :
       {std::string(5'000'000, ' '), std::string(1'000'000, '['),
        std::string("{}"), std::string("<html>"),
        R"({"manifests":[],)" + image_.manifest.substr(1)}) {
    Start([&](const Request& request, Connection& connection) {
      if (IsBlob(request)) return false;
      connection.Answer(200, manifest);
      return true;
    });
    EXPECT_EQ(ExpectFailure().code(), absl::StatusCode::kDataLoss);
  }
}

TEST_F(FaultTest, EndlessHeadersAreRefused) {
  Start([](const Request&, Connection& connection) {
    connection.Send("HTTP/1.1 200 OK\r\n");
    for (int i = 0; i < 10'000; ++i) {
      if (!connection.Send("X-Filler: " + std::string(1000, 'x') + "\r\n")) {
        break;
      }
    }
    return true;
  });
  EXPECT_FALSE(ExpectFailure().ok());
}

TEST_F(FaultTest, AStopEndsAPullThatHangs) {
  absl::Notification hanging;
  absl::Notification over;
  std::once_flag first;
  Start([&](const Request& request, Connection&) {
    if (!IsBlob(request)) return false;
    std::call_once(first, [&hanging] { hanging.Notify(); });
    over.WaitForNotification();
    return true;
  });
  absl::Status status;
  const Stopwatch stopwatch;
  std::thread puller([&] { status = ExpectFailure(); });
  hanging.WaitForNotification();
  store_.service().Stop();
  // The server hangs on, and it is not the stall that ends the pull.
  puller.join();
  EXPECT_LT(stopwatch.Seconds(), kStallSeconds);
  EXPECT_TRUE(absl::IsCancelled(status)) << status;
  EXPECT_TRUE(absl::IsCancelled(Pull().status()));
  over.Notify();
  server_.reset();  // its handlers use what is on this stack
}

// Authentication.

class TokenTest : public FaultTest {
 protected:
  // A registry that wants the token "good", and its token service at `realm`
  // (on the registry itself if empty).
  void StartWithToken(const std::string& realm = "") {
    Start([this, realm](const Request& request, Connection& connection) {
      if (absl::StartsWith(request.path, "/token")) {
        AnswerToken(request, connection);
        return true;
      }
      if (request.Header("authorization") == "Bearer good") return false;
      connection.Answer(
          401, "",
          {absl::StrCat(
              "WWW-Authenticate: Bearer realm=\"",
              realm.empty() ? "http://" + request.Header("host") : realm,
              "/token\",service=\"test\",",
              "scope=\"repository:app:pull,push\"")});
      return true;
    });
  }

  static void AnswerToken(const Request& request, Connection& connection) {
    const bool password = request.Header("authorization") ==
                          "Basic " + absl::Base64Escape("someone:secret");
    const bool refresh =
        absl::StrContains(request.body, "refresh_token=re%26fresh");
    if (!password && !refresh) {
      connection.Answer(401, "");
      return;
    }
    connection.Answer(200, R"({"token":"good","expires_in":300})");
  }

  static Credentials Password() {
    Credentials credentials;
    credentials.username = "someone";
    credentials.password = "secret";
    return credentials;
  }
};

TEST_F(TokenTest, APasswordBuysATokenToPullAndNothingElse) {
  StartWithToken();
  ExpectPull(Password());
  size_t tokens = 0;
  for (const Request& request : server_->requests()) {
    if (!absl::StartsWith(request.path, "/token")) {
      EXPECT_FALSE(absl::StartsWith(request.Header("authorization"), "Basic"));
      continue;
    }
    ++tokens;
    EXPECT_THAT(request.path, HasSubstr("scope=repository%3Aapp%3Apull&"));
    EXPECT_THAT(request.path, HasSubstr("service=test"));
  }
  EXPECT_EQ(tokens, 1u);
}

TEST_F(TokenTest, ARefreshTokenIsPosted) {
  StartWithToken();
  Credentials credentials;
  credentials.identity_token = "re&fresh";
  ExpectPull(credentials);
}

TEST_F(TokenTest, ARegistryTokenIsUsedAsItIs) {
  StartWithToken();
  Credentials credentials;
  credentials.registry_token = "good";
  ExpectPull(credentials);
  for (const Request& request : server_->requests()) {
    EXPECT_FALSE(absl::StartsWith(request.path, "/token"));
  }
}

TEST_F(TokenTest, WithoutCredentialsThereIsNone) {
  StartWithToken();
  EXPECT_TRUE(absl::IsPermissionDenied(ExpectFailure()));
  Credentials injected;
  injected.registry_token = "good\r\nX-Evil: 1";
  EXPECT_FALSE(ExpectFailure(injected).ok());
}

TEST_F(TokenTest, A401LoopEnds) {
  Start([](const Request& request, Connection& connection) {
    if (absl::StartsWith(request.path, "/token")) {
      connection.Answer(200, R"({"access_token":"never enough"})");
    } else {
      connection.Answer(
          401, "",
          {absl::StrCat("WWW-Authenticate: Bearer realm=\"http://",
                        request.Header("host"), "/token\"")});
    }
    return true;
  });
  EXPECT_TRUE(absl::IsPermissionDenied(ExpectFailure(Password())));
  EXPECT_LE(server_->requests().size(), 6u);
}

TEST_F(TokenTest, AForeignRealmWithoutHttpsGetsNoPassword) {
  HttpServer thief([](const Request&, Connection& connection) {
    connection.Answer(200, R"({"token":"good"})");
  });
  // The same machine under another name: another host.
  const std::string port =
      thief.address().substr(thief.address().rfind(':') + 1);
  StartWithToken("http://localhost:" + port);
  const absl::Status status = ExpectFailure(Password());
  EXPECT_TRUE(absl::IsPermissionDenied(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("without https"));
  EXPECT_THAT(thief.requests(), IsEmpty());
}

TEST_F(TokenTest, ARedirectTakesNoSecretsAlong) {
  const HttpServer storage(
      [this](const Request& request, Connection& connection) {
        Serve(request, connection);
      });
  Start([&storage, this](const Request& request, Connection& connection) {
    if (request.Header("authorization") !=
        "Basic " + absl::Base64Escape("someone:secret")) {
      connection.Answer(401, "", {"WWW-Authenticate: Basic realm=\"x\""});
      return true;
    }
    if (!IsLayer(request)) return false;
    connection.Answer(307, "",
                      {absl::StrCat("Location: http://", storage.address(),
                                    request.path, "?signature=1")});
    return true;
  });
  // The signature is not part of the digest that Serve looks for.
  const auto id = Pull(Password());
  EXPECT_FALSE(id.ok());
  ASSERT_EQ(storage.requests().size(), 1u);
  EXPECT_EQ(storage.requests()[0].Header("authorization"), "");
  EXPECT_THAT(std::string(id.status().message()), Not(HasSubstr("signature")));
}

TEST_F(TokenTest, ARedirectToStorageIsFollowed) {
  const HttpServer storage(
      [this](const Request& request, Connection& connection) {
        Serve(request, connection);
      });
  Start([&storage, this](const Request& request, Connection& connection) {
    if (!IsLayer(request)) return false;
    connection.Answer(302, "",
                      {"Location: http://" + storage.address() + request.path});
    return true;
  });
  ExpectPull();
}

TEST_F(TokenTest, RedirectsThatNeverEndEnd) {
  Start([](const Request& request, Connection& connection) {
    connection.Answer(302, "", {"Location: " + request.path});
    return true;
  });
  EXPECT_TRUE(absl::IsUnavailable(ExpectFailure()));
  EXPECT_LE(server_->requests().size(), 60u);
}

TEST_F(TokenTest, ARedirectToAFileIsRefused) {
  Start([](const Request&, Connection& connection) {
    connection.Answer(302, "", {"Location: file:///etc/passwd"});
    return true;
  });
  EXPECT_FALSE(ExpectFailure().ok());
}

TEST_F(TokenTest, AMirrorIsTriedFirstAndGetsNoCredentials) {
  std::atomic<bool> mirror_serves{true};
  const HttpServer mirror([&](const Request& request, Connection& connection) {
    if (mirror_serves) {
      Serve(request, connection);
    } else {
      connection.Answer(401, "", {"WWW-Authenticate: Basic realm=\"mirror\""});
    }
  });
  StartWithToken();
  testing::ScratchDir hosts;
  const std::string dir = hosts.path() + "/" + server_->address();
  std::filesystem::create_directories(dir);
  std::ofstream(dir + "/hosts.toml")
      << "[host.\"http://" << mirror.address() << "\"]\n"
      << "  [host.\"http://" << mirror.address() << "\".header]\n"
      << "    x-mirror = \"yes\"\n";
  store_.Close();
  store_.options().registry_config_dir = hosts.path();
  store_.Open();
  ExpectPull(Password());
  EXPECT_THAT(server_->requests(), IsEmpty());
  EXPECT_EQ(mirror.requests()[0].Header("x-mirror"), "yes");
  // A mirror that fails is passed by.
  mirror_serves = false;
  ASSERT_TRUE(store_.service().Remove(image_.config_digest).ok());
  ExpectPull(Password());
  EXPECT_THAT(server_->requests(), Not(IsEmpty()));
  for (const Request& request : mirror.requests()) {
    EXPECT_EQ(request.Header("authorization"), "");
  }
  // And so is one that breaks off in the middle of the pull.
  ASSERT_TRUE(store_.service().Remove(image_.config_digest).ok());
}

TEST_F(TokenTest, AMalformedHostsFileIsNamed) {
  StartWithToken();
  testing::ScratchDir hosts;
  std::filesystem::create_directories(hosts.path() + "/_default");
  std::ofstream(hosts.path() + "/_default/hosts.toml") << "\nserver = 1\n";
  store_.Close();
  store_.options().registry_config_dir = hosts.path();
  store_.Open();
  EXPECT_THAT(std::string(ExpectFailure().message()),
              HasSubstr("hosts.toml:2: server"));
}

TEST_F(TokenTest, OtherCredentialsDoNotJoinAPull) {
  absl::Notification waiting;
  absl::Notification go_on;
  std::once_flag first;
  Start([&](const Request& request, Connection& connection) {
    if (request.Header("authorization") !=
        "Basic " + absl::Base64Escape("someone:secret")) {
      connection.Answer(401, "", {"WWW-Authenticate: Basic realm=\"x\""});
      return true;
    }
    if (IsBlob(request)) {
      // Blobs may be asked for at once.
      std::call_once(first, [&waiting] { waiting.Notify(); });
      go_on.WaitForNotification();
    }
    return false;
  });
  std::thread owner([this] { ExpectPull(Password()); });
  waiting.WaitForNotification();
  Credentials other;
  other.username = "someone";
  other.password = "guess";
  EXPECT_TRUE(absl::IsPermissionDenied(Pull(other).status()));
  EXPECT_TRUE(absl::IsPermissionDenied(Pull().status()));
  go_on.Notify();
  owner.join();
  server_.reset();  // its threads look at what is about to go
}

}  // namespace
}  // namespace pinion::image
