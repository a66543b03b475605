// Sessions over TLS, with a certificate of the test's own.

#include <gmock/gmock.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <thread>

#include "tests/support/eventually.h"
#include "tests/unit/cri/streaming/session_bed.h"

namespace pinion::cri::streaming {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;
using testing_support::Eventually;

template <auto free_it>
struct Free {
  template <typename T>
  void operator()(T* object) const {
    free_it(object);
  }
};
using KeyPtr = std::unique_ptr<EVP_PKEY, Free<EVP_PKEY_free>>;
using CertificatePtr = std::unique_ptr<X509, Free<X509_free>>;
using ContextPtr = std::unique_ptr<SSL_CTX, Free<SSL_CTX_free>>;
using SslPtr = std::unique_ptr<SSL, Free<SSL_free>>;

// A self-signed certificate and its key, as PEM files.
void MakeCertificate(const std::string& certificate_file,
                     const std::string& key_file) {
  const KeyPtr key(EVP_EC_gen("P-256"));
  const CertificatePtr certificate(X509_new());
  ASSERT_TRUE(key != nullptr && certificate != nullptr);
  X509_gmtime_adj(X509_getm_notBefore(certificate.get()), -3600);
  X509_gmtime_adj(X509_getm_notAfter(certificate.get()), 3600);
  X509_set_pubkey(certificate.get(), key.get());
  X509_NAME* name = X509_get_subject_name(certificate.get());
  X509_NAME_add_entry_by_txt(
      name, "CN", MBSTRING_ASC,
      reinterpret_cast<const unsigned char*>("streaming test"), -1, -1, 0);
  X509_set_issuer_name(certificate.get(), name);
  ASSERT_GT(X509_sign(certificate.get(), key.get(), EVP_sha256()), 0);
  FILE* file = std::fopen(certificate_file.c_str(), "w");
  ASSERT_EQ(PEM_write_X509(file, certificate.get()), 1);
  std::fclose(file);
  file = std::fopen(key_file.c_str(), "w");
  ASSERT_EQ(PEM_write_PrivateKey(file, key.get(), nullptr, nullptr, 0, nullptr,
                                 nullptr),
            1);
  std::fclose(file);
}

// One blocking connection; used by one thread at a time.
class TlsClient {
 public:
  explicit TlsClient(uint16_t port, int version = TLS1_3_VERSION)
      : client_(port), context_(SSL_CTX_new(TLS_client_method())) {
    SSL_CTX_set_max_proto_version(context_.get(), version);
    ssl_.reset(SSL_new(context_.get()));
    SSL_set_fd(ssl_.get(), client_.fd());
    connected_ = SSL_connect(ssl_.get()) == 1;
  }

  bool connected() const { return connected_; }

  void Send(const std::string& bytes) {
    (void)SSL_write(ssl_.get(), bytes.data(), static_cast<int>(bytes.size()));
  }
  // "" at the end.
  std::string Receive() {
    char buffer[16384];
    const int count = SSL_read(ssl_.get(), buffer, sizeof(buffer));
    return std::string(buffer, count > 0 ? static_cast<size_t>(count) : 0);
  }
  std::string AskSpdy(const std::string& path) {
    Send("POST " + path +
         " HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n"
         "Upgrade: SPDY/3.1\r\n"
         "X-Stream-Protocol-Version: v4.channel.k8s.io\r\n\r\n");
    return Receive();
  }

 private:
  Client client_;
  ContextPtr context_;
  SslPtr ssl_;
  bool connected_ = false;
};

class TlsTest : public SessionTest {
 protected:
  void SetUp() override {
    char name[] = "/tmp/pn-tls-XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    dir_ = name;
    options_.tls_certificate = dir_ + "/cert.pem";
    options_.tls_key = dir_ + "/key.pem";
    MakeCertificate(options_.tls_certificate, options_.tls_key);
  }
  void TearDown() override { std::filesystem::remove_all(dir_); }

  std::string SecurePath(const std::string& script) {
    if (server_ == nullptr) Start();
    Request request;
    request.id = "container";
    request.command = {"sh", "-c", script};
    request.streams = {true, true, false, false};
    const auto url = server_->Url(std::move(request));
    EXPECT_TRUE(url.ok()) << url.status();
    const std::string base =
        "https://127.0.0.1:" + std::to_string(server_->port());
    EXPECT_THAT(*url, StartsWith(base + "/exec/"));
    return url->substr(base.size());
  }

  static std::string Opening(SpdyPeer* peer) {
    // One after another: their headers' compression has a memory.
    std::string frames = peer->SynStream(1, {{"streamtype", "error"}});
    frames += peer->SynStream(3, {{"streamtype", "stdin"}});
    frames += peer->SynStream(5, {{"streamtype", "stdout"}});
    return frames;
  }

  std::string dir_;
};

TEST_F(TlsTest, CarriesASessionInBothVersions) {
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    const std::string path = SecurePath("cat; exit 3");
    TlsClient client(server_->port(), version);
    ASSERT_TRUE(client.connected());
    ASSERT_THAT(client.AskSpdy(path), StartsWith("HTTP/1.1 101 "));
    SpdyPeer peer;
    client.Send(Opening(&peer) + SpdyPeer::Data(3, "hello", true));
    while (!peer.finished[1]) {
      const std::string bytes = client.Receive();
      ASSERT_FALSE(bytes.empty());
      ASSERT_TRUE(peer.Read(bytes).ok());
    }
    EXPECT_EQ(peer.data[5], "hello");
    EXPECT_THAT(peer.data[1], HasSubstr("\"message\":\"3\""));
  }
}

// More than one record, and more than the socket's buffers take at once.
TEST_F(TlsTest, MuchOutputArrivesWhole) {
  const std::string path = SecurePath("head -c 5000000 /dev/zero");
  TlsClient client(server_->port());
  ASSERT_THAT(client.AskSpdy(path), StartsWith("HTTP/1.1 101 "));
  client.Send(Opening(&peer_));
  while (!peer_.finished[1]) {
    const std::string bytes = client.Receive();
    ASSERT_FALSE(bytes.empty());
    ASSERT_TRUE(peer_.Read(bytes).ok());
  }
  EXPECT_EQ(peer_.data[5].size(), 5000000u);
}

TEST_F(TlsTest, AClientThatLeavesEndsTheExec) {
  const std::string path = SecurePath("sleep 1000");
  {
    TlsClient client(server_->port());
    ASSERT_THAT(client.AskSpdy(path), StartsWith("HTTP/1.1 101 "));
    client.Send(Opening(&peer_));
    ASSERT_TRUE(Eventually([this] { return backend_.alive == 1; }));
  }
  EXPECT_TRUE(Eventually([this] { return backend_.alive == 0; }));
}

TEST_F(TlsTest, SpeaksNothingElse) {
  const std::string path = SecurePath("true");
  // In plain text: hung up on, and the token is still good.
  EXPECT_THAT(Connect().AskSpdy(path), Not(HasSubstr("HTTP/1.1 101 ")));
  EXPECT_FALSE(TlsClient(server_->port(), TLS1_1_VERSION).connected());
  TlsClient client(server_->port());
  EXPECT_THAT(client.AskSpdy(path), StartsWith("HTTP/1.1 101 "));
}

TEST_F(TlsTest, AHandshakeThatDoesNotComeIsNotWaitedFor) {
  options_.head_timeout = std::chrono::milliseconds(300);
  Start();
  Client client = Connect();
  EXPECT_TRUE(client.UntilEnd());
}

}  // namespace
}  // namespace pinion::cri::streaming
