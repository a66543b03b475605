#include "image/service.h"

#include <fcntl.h>
#include <malloc.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/status_macros.h"
#include "image/archive_spool.h"
#include "image/hosts_config.h"
#include "image/http_client.h"
#include "image/import.h"
#include "image/installer.h"
#include "os/file.h"

namespace pinion::image {
namespace {

// An index may lead to another one; not for ever.
constexpr int kMaxIndexes = 3;
// Pulls that run at a time before layers wait for each other: a registry that
// is slow must not hold up the pulls from others.
constexpr int kPullsAtFullSpeed = 4;
constexpr char kUnavailable[] = "RegistryUnavailable";

class RegistrySource : public BlobSource {
 public:
  explicit RegistrySource(RegistryClient* registry) : registry_(registry) {}
  absl::StatusOr<std::unique_ptr<ByteStream>> OpenBlob(
      const Descriptor& descriptor) override {
    return registry_->OpenBlob(descriptor);
  }

 private:
  RegistryClient* const registry_;
};

// Who pulls what: callers with other credentials must not be handed an image
// that they could not have pulled. Digests, so that no secret stays here.
std::string FlightKey(const Reference& reference,
                      const Credentials& credentials) {
  Sha256 hasher;
  for (const std::string* field :
       {&credentials.username, &credentials.password, &credentials.auth,
        &credentials.identity_token, &credentials.registry_token,
        &credentials.server_address}) {
    hasher.Update(absl::StrCat(field->size(), ":", *field));
  }
  return absl::StrCat(reference.Key(), " ", reference.tag, " ",
                      hasher.Finish().text());
}

// The codes that callers act on. InvalidArgument means a malformed request
// there, so bad content becomes DataLoss.
absl::Status PullError(const absl::Status& status, const Reference& reference) {
  const std::string message =
      absl::StrCat("pull ", reference.Key(), ": ", status.message());
  if (absl::IsUnavailable(status)) {
    return absl::UnavailableError(absl::StrCat(kUnavailable, ": ", message));
  }
  if (absl::IsInvalidArgument(status)) return absl::DataLossError(message);
  return absl::Status(status.code(), message);
}

}  // namespace

absl::StatusOr<std::unique_ptr<ImageService>> ImageService::Create(
    const Options& options, metrics::Registry& metrics) {
  PINION_ASSIGN_OR_RETURN(const Platform platform,
                          Platform::Parse(options.platform));
  auto service = std::make_unique<Service>(options, platform, metrics);
  PINION_RETURN_IF_ERROR_AS(service->Open(), "image store");
  return std::unique_ptr<ImageService>(std::move(service));
}

Service::Service(const Options& options, const Platform& platform,
                 metrics::Registry& metrics)
    : options_(options),
      platform_(platform),
      pulls_ok_(metrics.AddCounter("pinion_image_pulls_total",
                                   "Image pulls by result.",
                                   {{"result", "ok"}})),
      pulls_failed_(metrics.AddCounter("pinion_image_pulls_total",
                                       "Image pulls by result.",
                                       {{"result", "error"}})),
      pull_bytes_(metrics.AddCounter("pinion_image_pull_bytes_total",
                                     "Bytes of layers fetched, compressed.")),
      pull_seconds_(metrics.AddHistogram(
          "pinion_image_pull_seconds", "Duration of image pulls.",
          {0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800})),
      images_(metrics.AddGauge("pinion_image_images", "Images in the store.")),
      layers_(metrics.AddGauge("pinion_image_layers", "Layers in the store.")),
      bytes_(metrics.AddGauge("pinion_image_bytes",
                              "Bytes that the store's layers take.")),
      slots_(std::max(options.parallel_layers, 1) * kPullsAtFullSpeed) {}

Service::~Service() = default;

absl::Status Service::Open() {
  PINION_ASSIGN_OR_RETURN(store_, Store::Create(options_, &cancel_));
  UpdateGauges();
  return absl::OkStatus();
}

// After changes, not at scrapes: a registry may outlive the service.
void Service::UpdateGauges() {
  const std::vector<LayerRecord> layers = store_->layers().List();
  double bytes = 0;
  for (const LayerRecord& layer : layers) {
    bytes += static_cast<double>(layer.bytes);
  }
  images_.Set(static_cast<double>(store_->List().size()));
  layers_.Set(static_cast<double>(layers.size()));
  bytes_.Set(bytes);
}

void Service::Stop() {
  cancel_.Cancel();
  slots_.Wake();
  if (store_ != nullptr) store_->layers().Wake();
}

bool Service::IsPlainHttp(const std::string& domain) const {
  const auto& list = options_.insecure_registries;
  if (std::find(list.begin(), list.end(), domain) != list.end()) return true;
  const auto url = ParseUrl(absl::StrCat("http://", domain));
  if (!url.ok()) return false;
  // Without a port the entry stands for all of the host's; and on the way to
  // this machine itself nobody listens (as Docker has it).
  return std::find(list.begin(), list.end(), url->host) != list.end() ||
         IsLoopbackHost(url->host);
}

absl::StatusOr<std::string> Service::Pull(const std::string& text,
                                          const Credentials& credentials) {
  PINION_ASSIGN_OR_RETURN(const Reference reference,
                          ParseReference(text, options_.default_registry));
  const std::string key = FlightKey(reference, credentials);
  std::shared_ptr<Flight> flight;
  {
    const absl::MutexLock lock(&mutex_);
    const auto [it, inserted] =
        flights_.try_emplace(key, std::make_shared<Flight>());
    flight = it->second;
    if (!inserted) {
      const auto landed = [&flight] { return flight->result.has_value(); };
      mutex_.Await(absl::Condition(&landed));
      return *flight->result;
    }
  }
  absl::StatusOr<std::string> result = PullOnce(reference, credentials);
  const absl::MutexLock lock(&mutex_);
  flight->result = result;
  flights_.erase(key);
  return result;
}

absl::StatusOr<std::string> Service::PullOnce(const Reference& reference,
                                              const Credentials& credentials) {
  const Stopwatch stopwatch;
  absl::StatusOr<std::string> result = Fetch(reference, credentials);
  pull_seconds_.Observe(stopwatch.Seconds());
  (result.ok() ? pulls_ok_ : pulls_failed_).Increment();
  // The buffers of eight layers: back to the system, not kept for a next
  // pull that may be days away.
  malloc_trim(0);
  UpdateGauges();
  if (!result.ok()) return PullError(result.status(), reference);
  return result;
}

absl::StatusOr<std::string> Service::Fetch(const Reference& reference,
                                           const Credentials& credentials) {
  PINION_RETURN_IF_ERROR(cancel_.Check());
  PINION_ASSIGN_OR_RETURN(
      std::vector<Endpoint> endpoints,
      FindEndpoints(options_.registry_config_dir, reference.domain,
                    IsPlainHttp(reference.domain)));
  TransferLimits limits;
  limits.stall = std::chrono::seconds(options_.stall_seconds);
  HttpClient client(
      {options_.http_proxy, options_.https_proxy, options_.no_proxy}, limits,
      &cancel_);
  RegistryClient registry(&client, &cancel_, reference, std::move(endpoints),
                          credentials);
  Digest digest;
  PINION_ASSIGN_OR_RETURN(const Manifest manifest,
                          FetchManifest(registry, reference, digest));
  std::vector<std::string> keys = {
      absl::StrCat(reference.Name(), "@", digest.text())};
  if (reference.digest.empty()) keys.push_back(reference.Key());
  InstallOptions install;
  install.parallel_layers = options_.parallel_layers;
  install.slots = &slots_;
  install.cancel = &cancel_;
  install.on_bytes = [this](uint64_t bytes) {
    pull_bytes_.Increment(static_cast<double>(bytes));
  };
  RegistrySource source(&registry);
  return InstallImage(source, manifest, keys, *store_, install);
}

absl::StatusOr<Manifest> Service::FetchManifest(RegistryClient& registry,
                                                const Reference& reference,
                                                Digest& digest) const {
  RegistryClient::Document document;
  if (reference.digest.empty()) {
    PINION_ASSIGN_OR_RETURN(document, registry.GetManifestByTag(reference.tag));
  } else {
    PINION_ASSIGN_OR_RETURN(document, registry.GetManifest(reference.digest));
  }
  digest = document.digest;
  for (int i = 0; i <= kMaxIndexes; ++i) {
    PINION_ASSIGN_OR_RETURN(
        ManifestOrIndex parsed,
        ParseManifest(document.body, document.content_type));
    if (auto* manifest = std::get_if<Manifest>(&parsed)) {
      return std::move(*manifest);
    }
    PINION_ASSIGN_OR_RETURN(const Descriptor chosen,
                            ChoosePlatform(std::get<Index>(parsed), platform_));
    PINION_ASSIGN_OR_RETURN(document, registry.GetManifest(chosen.digest));
    // The index's word for what it is counts as the registry's does.
    PINION_RETURN_IF_ERROR(
        ParseManifest(document.body, chosen.media_type).status());
  }
  return absl::InvalidArgumentError("indexes that lead to indexes");
}

absl::StatusOr<ImageService::Imported> Service::Import(
    const std::string& archive_path, const std::string& reference) {
  ImportOptions import;
  import.reference = reference;
  import.default_registry = options_.default_registry;
  import.platform = platform_;
  import.install = {options_.parallel_layers, &slots_, &cancel_, {}};
  const std::string phrase = absl::StrCat("import ", archive_path);
  // Below layers/, where the next start removes what a crash leaves.
  PINION_ASSIGN_OR_RETURN_AS(
      const auto spool,
      ArchiveSpool::Create(
          archive_path,
          absl::StrCat(options_.root, "/layers/tmp-import-", NewId()),
          &cancel_),
      phrase);
  auto imported = ImportArchive(*spool, import, *store_);
  malloc_trim(0);
  UpdateGauges();
  if (!imported.ok()) return Annotate(imported.status(), phrase);
  return imported;
}

std::vector<ImageInfo> Service::List() const { return store_->List(); }

std::optional<ImageInfo> Service::Find(const std::string& reference) const {
  return store_->Find(reference);
}

absl::Status Service::Remove(const std::string& reference) {
  const absl::Status status = store_->Remove(reference);
  UpdateGauges();
  return Annotate(status, "remove image");
}

absl::StatusOr<ImageInfo> Service::Hold(const std::string& reference,
                                        const std::string& holder) {
  return store_->Hold(reference, holder);
}

absl::Status Service::HoldLayers(const std::vector<std::string>& layer_dirs,
                                 const std::string& holder) {
  return store_->HoldLayers(layer_dirs, holder);
}

void Service::Release(const std::string& holder) {
  store_->Release(holder);
  UpdateGauges();
}

absl::Status Service::CollectGarbage() {
  const absl::Status status = store_->CollectGarbage();
  UpdateGauges();
  return status;
}

absl::StatusOr<FsUsage> Service::Usage() const {
  FsUsage usage;
  usage.mountpoint = options_.root;
  for (const LayerRecord& layer : store_->layers().List()) {
    usage.used_bytes += layer.bytes;
    usage.inodes_used += layer.inodes;
  }
  return usage;
}

}  // namespace pinion::image
