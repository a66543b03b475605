#include "tests/integration/image/registry_bed.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "os/unique_fd.h"
#include "tests/support/eventually.h"

namespace pinion::image {
namespace {

constexpr char kRegistry[] = "/usr/bin/docker-registry";
constexpr int kStarts = 10;

using ::pinion::testing::DigestOf;

void WriteFile(const std::string& path, const std::string& data) {
  std::filesystem::create_directories(
      std::filesystem::path(path).parent_path());
  std::ofstream(path, std::ios::binary) << data;
}

sockaddr_in Loopback(uint16_t port) {
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  return address;
}

uint16_t FreePort() {
  const os::UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address = Loopback(0);
  socklen_t size = sizeof(address);
  auto* const generic = reinterpret_cast<sockaddr*>(&address);
  if (bind(fd.get(), generic, size) != 0 ||
      getsockname(fd.get(), generic, &size) != 0) {
    std::abort();
  }
  return ntohs(address.sin_port);
}

bool Answers(uint16_t port) {
  const os::UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const sockaddr_in address = Loopback(port);
  return connect(fd.get(), reinterpret_cast<const sockaddr*>(&address),
                 sizeof(address)) == 0;
}

}  // namespace

bool HaveRegistry() { return access(kRegistry, X_OK) == 0; }

// For 127.0.0.1, signed by itself.
void RegistryBed::MakeCertificate() {
  const std::string command = absl::StrCat(
      "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes "
      "-days 2 -subj /CN=test -addext subjectAltName=IP:127.0.0.1 -keyout ",
      scratch_.path(), "/tls.key -out ", ca_file(), " 2>/dev/null");
  if (std::system(command.c_str()) != 0) std::abort();
}

RegistryBed::RegistryBed(const std::string& htpasswd, bool tls) {
  if (tls) MakeCertificate();
  for (int i = 0; i < kStarts; ++i) {
    if (Start(htpasswd, tls)) return;
  }
  GiveUp("ends again and again");
}

void RegistryBed::GiveUp(const std::string& why) const {
  std::ifstream log(scratch_.path() + "/log");
  std::stringstream text;
  text << log.rdbuf();
  std::fprintf(stderr, "docker-registry %s:\n%s\n", why.c_str(),
               text.str().c_str());
  std::abort();
}

bool RegistryBed::Start(const std::string& htpasswd, bool tls) {
  const uint16_t port = FreePort();
  address_ = absl::StrCat("127.0.0.1:", port);
  const std::string storage = scratch_.path() + "/storage";
  std::filesystem::create_directories(storage);
  std::string config = absl::StrCat(
      "version: 0.1\nlog: {level: error}\nstorage:\n  filesystem:\n"
      "    rootdirectory: ",
      storage, "\nhttp:\n  addr: ", address_, "\n");
  if (tls) {
    absl::StrAppend(&config, "  tls:\n    certificate: ", ca_file(),
                    "\n    key: ", scratch_.path(), "/tls.key\n");
  }
  if (!htpasswd.empty()) {
    WriteFile(scratch_.path() + "/htpasswd", htpasswd + "\n");
    absl::StrAppend(&config, "auth:\n  htpasswd:\n    realm: test\n    path: ",
                    scratch_.path(), "/htpasswd\n");
  }
  const std::string file = scratch_.path() + "/config.yml";
  WriteFile(file, config);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  const std::string log = scratch_.path() + "/log";
  posix_spawn_file_actions_addopen(&actions, 1, log.c_str(),
                                   O_WRONLY | O_CREAT | O_APPEND, 0600);
  posix_spawn_file_actions_adddup2(&actions, 1, 2);
  const char* const argv[] = {kRegistry, "serve", file.c_str(), nullptr};
  const int error = posix_spawn(&pid_, kRegistry, &actions, nullptr,
                                const_cast<char* const*>(argv), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) GiveUp(absl::StrCat("does not start, error ", error));
  // It tells nobody when it listens; it ends if another listens already.
  const auto has_ended = [this] {
    if (pid_ > 0 && waitpid(pid_, nullptr, WNOHANG) == pid_) pid_ = -1;
    return pid_ < 0;
  };
  const bool answers =
      testing_support::Eventually([&] { return has_ended() || Answers(port); });
  // The answer may have been another's.
  if (has_ended()) return false;
  if (answers) return true;
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
  GiveUp("does not answer");
}

RegistryBed::~RegistryBed() {
  if (pid_ <= 0) return;
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
}

void RegistryBed::PutBlob(const std::string& repository,
                          const std::string& bytes) {
  const std::string digest = DigestOf(bytes);
  const std::string hex = digest.substr(7);
  const std::string v2 = scratch_.path() + "/storage/docker/registry/v2";
  WriteFile(
      absl::StrCat(v2, "/blobs/sha256/", hex.substr(0, 2), "/", hex, "/data"),
      bytes);
  WriteFile(absl::StrCat(v2, "/repositories/", repository, "/_layers/sha256/",
                         hex, "/link"),
            digest);
}

void RegistryBed::PutManifest(const std::string& repository,
                              const std::string& tag,
                              const std::string& manifest) {
  PutBlob(repository, manifest);
  const std::string digest = DigestOf(manifest);
  const std::string hex = digest.substr(7);
  const std::string manifests =
      absl::StrCat(scratch_.path(), "/storage/docker/registry/v2/repositories/",
                   repository, "/_manifests");
  WriteFile(absl::StrCat(manifests, "/revisions/sha256/", hex, "/link"),
            digest);
  if (tag.empty()) return;
  WriteFile(absl::StrCat(manifests, "/tags/", tag, "/current/link"), digest);
  WriteFile(
      absl::StrCat(manifests, "/tags/", tag, "/index/sha256/", hex, "/link"),
      digest);
}

void RegistryBed::Put(const std::string& repository, const std::string& tag,
                      const testing::TestImage& image) {
  for (const auto& [digest, bytes] : image.blobs) PutBlob(repository, bytes);
  PutManifest(repository, tag, image.manifest);
}

StoreBed::StoreBed() : metrics_(metrics::Registry::Create()) {
  options_.root = scratch_.path() + "/root";
  options_.database = scratch_.path() + "/state.db";
  options_.platform = "linux/amd64";
  std::filesystem::create_directory(options_.root);
}

ImageService& StoreBed::Open() {
  service_.reset();
  metrics_ = metrics::Registry::Create();
  auto service = ImageService::Create(options_, *metrics_);
  if (!service.ok()) {
    std::fprintf(stderr, "%s\n", service.status().ToString().c_str());
    std::abort();
  }
  service_ = *std::move(service);
  return *service_;
}

std::vector<std::string> StoreBed::LayerNames() const {
  std::vector<std::string> names;
  const std::string layers = options_.root + "/layers";
  for (const auto& entry : std::filesystem::directory_iterator(layers)) {
    names.push_back(entry.path().filename());
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::string StoreBed::Read(const ImageInfo& image,
                           const std::string& path) const {
  for (const std::string& layer : image.layer_dirs) {
    const std::string full = absl::StrCat(options_.root, "/", layer, "/", path);
    if (!std::filesystem::exists(full)) continue;
    std::ifstream file(full, std::ios::binary);
    std::stringstream text;
    text << file.rdbuf();
    return text.str();
  }
  return "no such file";
}

}  // namespace pinion::image
