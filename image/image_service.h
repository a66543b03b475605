// Images: pull, import, list, remove, and the layers that containers stand
// on. The store is <root>/images and <root>/layers; its records are tables in
// state.db (docs/on_disk_layout.md).
//
// Thread-safe. Pulls of one reference coalesce; lists take no lock that a
// pull holds.

#ifndef PINION_IMAGE_IMAGE_SERVICE_H_
#define PINION_IMAGE_IMAGE_SERVICE_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "metrics/metrics.h"

namespace pinion::image {

// The parts of an OCI image configuration that a container needs.
struct ImageConfig {
  std::vector<std::string> entrypoint;
  std::vector<std::string> cmd;
  std::vector<std::string> env;  // KEY=VALUE
  std::string working_dir;
  std::string user;  // "uid", "name", "uid:gid", …; empty: root
  std::string stop_signal;
  std::vector<std::string> volumes;
  std::map<std::string, std::string> labels;
};

struct ImageInfo {
  // "sha256:…" of the configuration: the one string that PullImage, Image,
  // Container and ContainerStatus all show.
  std::string id;
  std::vector<std::string> repo_tags;     // name:tag
  std::vector<std::string> repo_digests;  // name@sha256:…
  uint64_t size_bytes = 0;                // of the unpacked layers
  ImageConfig config;
  bool pinned = false;
  // Directories below the store's root, topmost first: what overlayfs calls
  // lowerdir. Short and numeric: "layers/17".
  std::vector<std::string> layer_dirs;
  // The one of them whose own owner and mode are those of the image's root
  // directory (the topmost whose archive says something of it): what an upper
  // directory must be given, as overlayfs shows the topmost one's.
  std::string root_layer_dir;
};

// A secret: never logged.
struct Credentials {
  std::string username;
  std::string password;
  std::string auth;            // base64 of user:password
  std::string identity_token;  // OAuth2 refresh token
  std::string registry_token;  // bearer token as is
  std::string server_address;
};

struct FsUsage {
  std::string mountpoint;
  uint64_t used_bytes = 0;
  uint64_t inodes_used = 0;
};

struct Options {
  // Absolute; the directory exists. Layers are <root>/layers/<number>.
  std::string root;
  // state.db; the tables this folder owns are prefixed "image_".
  std::string database;
  // containerd's hosts.toml layout: <dir>/<registry host>/hosts.toml and
  // <dir>/_default/hosts.toml. Empty: none.
  std::string registry_config_dir;
  // Registries (host[:port]) spoken to in plain HTTP.
  std::vector<std::string> insecure_registries;
  // Registry assumed for references without one; Docker's rule when empty.
  std::string default_registry;
  // Empty: HTTP(S)_PROXY and NO_PROXY of the environment.
  std::string http_proxy;
  std::string https_proxy;
  std::string no_proxy;
  // Layers of one pull that are fetched and unpacked at a time.
  int parallel_layers = 8;
  // A transfer that brings less than 1 KiB/s for so long has stalled and is
  // tried again.
  int stall_seconds = 30;
  // Images (reference globs) that RemoveImage refuses and status calls
  // pinned.
  std::vector<std::string> pinned_images;
  // "linux/amd64"-like; empty: this machine's.
  std::string platform;
};

class ImageService {
 public:
  // Opens the store, removes what interrupted pulls left, loads the records.
  static absl::StatusOr<std::unique_ptr<ImageService>> Create(
      const Options& options, metrics::Registry& metrics);
  virtual ~ImageService() = default;

  // Returns the image's id. InvalidArgument: malformed reference. NotFound,
  // PermissionDenied from the registry. Unavailable: message starts with
  // "RegistryUnavailable". Nothing is left after a failure.
  virtual absl::StatusOr<std::string> Pull(const std::string& reference,
                                           const Credentials& credentials) = 0;

  struct Imported {
    std::string id;
    std::vector<std::string> references;
  };
  // An OCI image archive (tar). `reference` may be empty: then the archive's
  // annotations name it.
  virtual absl::StatusOr<Imported> Import(const std::string& archive_path,
                                          const std::string& reference) = 0;

  virtual std::vector<ImageInfo> List() const = 0;

  // By tag, digest reference, id, or unambiguous id prefix (hex, with or
  // without "sha256:"). nullopt if there is none.
  virtual std::optional<ImageInfo> Find(const std::string& reference) const = 0;

  // Removes the image with all its tags; missing is success. Layers that
  // another image or a holder (below) uses stay until they are released.
  virtual absl::Status Remove(const std::string& reference) = 0;

  // Keeps the image's layers for `holder` (a container id) until Release.
  // NotFound if there is no such image. Holders are not recorded: at start
  // the runtime holds again for every container it knows, then calls
  // CollectGarbage once.
  virtual absl::StatusOr<ImageInfo> Hold(const std::string& reference,
                                         const std::string& holder) = 0;
  // At start: holds layers by directory, even if the image is gone.
  virtual absl::Status HoldLayers(const std::vector<std::string>& layer_dirs,
                                  const std::string& holder) = 0;
  virtual void Release(const std::string& holder) = 0;
  virtual absl::Status CollectGarbage() = 0;

  // Of the file system the layers are on; bytes are what images use.
  virtual absl::StatusOr<FsUsage> Usage() const = 0;

  // Ends running pulls with Cancelled and refuses new ones: for shutdown.
  virtual void Stop() {}
};

}  // namespace pinion::image

#endif  // PINION_IMAGE_IMAGE_SERVICE_H_
