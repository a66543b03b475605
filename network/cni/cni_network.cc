#include "network/cni/cni_network.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "network/addressing.h"
#include "network/cni/result.h"
#include "network/pod_link.h"
#include "os/error.h"
#include "os/file.h"

namespace pinion::network::cni {
namespace {

constexpr char kAdd[] = "ADD";
constexpr char kDel[] = "DEL";
constexpr char kCheck[] = "CHECK";
constexpr char kGc[] = "GC";
// Of the bandwidth plugin, which wants one, in bits: as much as it takes.
constexpr int64_t kBurstBits = 2147483647;
// A plugin's time in the background, where ADDs or the pod's end may wait.
constexpr std::chrono::seconds kBackground(5);

absl::StatusOr<uint64_t> InodeOf(int netns) {
  struct stat st = {};
  if (fstat(netns, &st) != 0) return os::ErrnoStatus("stat the namespace");
  return static_cast<uint64_t>(st.st_ino);
}

const char* ProtocolName(HostPort::Protocol protocol) {
  switch (protocol) {
    case HostPort::Protocol::kTcp:
      return "tcp";
    case HostPort::Protocol::kUdp:
      return "udp";
    case HostPort::Protocol::kSctp:
      return "sctp";
  }
  return "";
}

// CNI_ARGS as every runtime gives them to plugins for Kubernetes.
absl::StatusOr<std::string> ArgumentsText(const AttachRequest& request) {
  const std::pair<const char*, const std::string&> values[] = {
      {"K8S_POD_NAMESPACE", request.pod_namespace},
      {"K8S_POD_NAME", request.pod_name},
      {"K8S_POD_INFRA_CONTAINER_ID", request.pod_id},
      {"K8S_POD_UID", request.pod_uid}};
  std::string text = "IgnoreUnknown=1";
  for (const auto& [key, value] : values) {
    if (value.find_first_of(";=\n") != std::string::npos) {
      return absl::InvalidArgumentError(
          absl::StrCat(key, " \"", value, "\" cannot be told to a CNI plugin"));
    }
    absl::StrAppend(&text, ";", key, "=", value);
  }
  return text;
}

}  // namespace

// Of one pod one call at a time: the background's and the runtime's may meet.
class CniNetwork::PodLock {
 public:
  PodLock(CniNetwork* network, const std::string& pod_id)
      : network_(network), pod_id_(pod_id) {
    absl::MutexLock lock(&network_->mutex_);
    const auto free = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(network_->mutex_) {
      return network_->busy_.count(pod_id_) == 0;
    };
    network_->mutex_.Await(absl::Condition(&free));
    network_->busy_.insert(pod_id_);
  }
  ~PodLock() {
    absl::MutexLock lock(&network_->mutex_);
    network_->busy_.erase(pod_id_);
  }
  PodLock(const PodLock&) = delete;
  PodLock& operator=(const PodLock&) = delete;

 private:
  CniNetwork* const network_;
  const std::string pod_id_;
};

// GC frees whatever it is not told of: never beside an ADD.
class CniNetwork::AddSlot {
 public:
  explicit AddSlot(CniNetwork* network) : network_(network) {
    absl::MutexLock lock(&network_->mutex_);
    const auto free = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(network_->mutex_) {
      return !network_->collecting_;
    };
    network_->mutex_.Await(absl::Condition(&free));
    ++network_->adds_;
  }
  ~AddSlot() {
    absl::MutexLock lock(&network_->mutex_);
    --network_->adds_;
  }
  AddSlot(const AddSlot&) = delete;
  AddSlot& operator=(const AddSlot&) = delete;

 private:
  CniNetwork* const network_;
};

absl::StatusOr<std::unique_ptr<CniNetwork>> CniNetwork::Create(
    const Options& options) {
  PINION_ASSIGN_OR_RETURN(AttachmentStore store,
                          AttachmentStore::Open(options.cni_state_dir));
  auto network =
      std::unique_ptr<CniNetwork>(new CniNetwork(options, std::move(store)));
  // Asks plugins, so that there is an answer when the kubelet wants one.
  (void)network->GetReadiness();
  return network;
}

CniNetwork::~CniNetwork() {
  stopping_ = true;
  plugins_.Stop();
  if (janitor_.joinable()) janitor_.join();
}

absl::StatusOr<PodAddresses> CniNetwork::Attach(const AttachRequest& request) {
  const PodLock lock(this, request.pod_id);
  const AddSlot slot(this);
  PINION_ASSIGN_OR_RETURN(const uint64_t inode, InodeOf(request.netns_fd));
  absl::StatusOr<Attachment> old = store_.Load(request.pod_id);
  if (old.ok() && !old->result.is_null() && old->netns_inode == inode) {
    return AddressesOf(old->result, old->interface_name);
  }
  // One that was broken off, or of another namespace.
  if (!absl::IsNotFound(old.status())) {
    PINION_RETURN_IF_ERROR(DetachLocked(request.pod_id));
  }
  Attachment attachment;
  attachment.pod_id = request.pod_id;
  PINION_ASSIGN_OR_RETURN(attachment.list, LoadSettled());
  attachment.capability_arguments = ArgumentsFor(request);
  PINION_ASSIGN_OR_RETURN(attachment.arguments, ArgumentsText(request));
  attachment.interface_name = options_.interface_name;
  attachment.netns_inode = inode;

  os::NetlinkSocket pod = os::NetlinkSocket::Borrow(request.netns_route_socket);
  PINION_RETURN_IF_ERROR(BringUpLoopback(pod));
  os::UniqueFd netns(fcntl(request.netns_fd, F_DUPFD_CLOEXEC, 0));
  if (!netns.valid()) return os::ErrnoStatus("duplicate the namespace's fd");
  {
    absl::MutexLock map_lock(&mutex_);
    namespaces_[request.pod_id] = std::move(netns);
  }
  const std::string path = NetnsPath(request.pod_id);
  absl::StatusOr<PodAddresses> addresses = AddAndSave(attachment, path);
  if (addresses.ok()) return addresses;
  if (const absl::Status undone = DetachLocked(request.pod_id); !undone.ok()) {
    Log(LogLevel::kWarning,
        "a failed CNI ADD was not undone; DEL follows later",
        {{"pod", request.pod_id}, {"error", undone.ToString()}});
  }
  return addresses;
}

absl::StatusOr<std::string> CniNetwork::Run(const Attachment& attachment,
                                            const Plugin& plugin,
                                            const std::string& command,
                                            const std::string& netns,
                                            const Json& previous,
                                            absl::Duration limit) const {
  PINION_ASSIGN_OR_RETURN(const std::string program,
                          FindPlugin(options_.cni_bin_dirs, plugin.type));
  const PluginCall call = {command, attachment.pod_id, netns,
                           attachment.interface_name, attachment.arguments};
  return RunPlugin(
      program, options_.cni_bin_dirs, call,
      ExecutionConfig(attachment.list, plugin, attachment.capability_arguments,
                      previous),
      std::chrono::steady_clock::now() + absl::ToChronoMilliseconds(limit));
}

absl::StatusOr<Json> CniNetwork::Add(const Attachment& attachment,
                                     const std::string& netns) const {
  Json result;
  for (const Plugin& plugin : attachment.list.plugins) {
    PINION_ASSIGN_OR_RETURN(const std::string output,
                            Run(attachment, plugin, kAdd, netns, result,
                                absl::FromChrono(options_.cni_timeout)));
    PINION_ASSIGN_OR_RETURN(
        result, ParseJsonObject(output, absl::StrCat("the result of ",
                                                     plugin.type, " ADD")));
  }
  return result;
}

absl::StatusOr<PodAddresses> CniNetwork::AddAndSave(
    Attachment& attachment, const std::string& netns) const {
  // Before anything that a DEL must undo.
  PINION_RETURN_IF_ERROR(store_.Save(attachment, /*durable=*/true));
  PINION_ASSIGN_OR_RETURN(attachment.result, Add(attachment, netns));
  PINION_ASSIGN_OR_RETURN(
      PodAddresses addresses,
      AddressesOf(attachment.result, attachment.interface_name));
  // What a power cut may take: a DEL without the result is still one.
  PINION_RETURN_IF_ERROR(store_.Save(attachment, /*durable=*/false));
  return addresses;
}

absl::Status CniNetwork::Del(const Attachment& attachment,
                             const std::string& netns) const {
  const std::vector<Plugin>& plugins = attachment.list.plugins;
  const Json previous =
      IsAtLeast(attachment.list, "0.4.0") ? attachment.result : Json();
  for (auto plugin = plugins.rbegin(); plugin != plugins.rend(); ++plugin) {
    if (stopping_) return absl::CancelledError("the daemon is being stopped");
    PINION_RETURN_IF_ERROR(Run(attachment, *plugin, kDel, netns, previous,
                               absl::FromChrono(options_.cni_timeout))
                               .status());
  }
  return absl::OkStatus();
}

absl::Status CniNetwork::Detach(const std::string& pod_id) {
  const PodLock lock(this, pod_id);
  return DetachLocked(pod_id);
}

absl::Status CniNetwork::DetachLocked(const std::string& pod_id) {
  const absl::StatusOr<Attachment> attachment = store_.Load(pod_id);
  if (attachment.ok()) {
    PINION_RETURN_IF_ERROR(Del(*attachment, NetnsPath(pod_id)));
  } else if (absl::IsDataLoss(attachment.status())) {
    Log(LogLevel::kError,
        "a CNI attachment is forgotten; what its plugins hold stays until GC",
        {{"pod", pod_id}, {"error", attachment.status().ToString()}});
  } else if (!absl::IsNotFound(attachment.status())) {
    return attachment.status();
  }
  PINION_RETURN_IF_ERROR(store_.Remove(pod_id));
  absl::MutexLock lock(&mutex_);
  namespaces_.erase(pod_id);
  return absl::OkStatus();
}

CapabilityArgs CniNetwork::ArgumentsFor(const AttachRequest& request) const {
  CapabilityArgs arguments;
  Json ports = Json::array();
  for (const HostPort& port : request.host_ports) {
    ports.push_back({{"hostPort", port.host_port},
                     {"containerPort", port.container_port},
                     {"protocol", ProtocolName(port.protocol)},
                     {"hostIP", port.host_ip}});
  }
  if (!ports.empty()) arguments["portMappings"] = std::move(ports);
  Json bandwidth = Json::object();
  if (request.ingress_bits_per_second > 0) {
    bandwidth["ingressRate"] = request.ingress_bits_per_second;
    bandwidth["ingressBurst"] = kBurstBits;
  }
  if (request.egress_bits_per_second > 0) {
    bandwidth["egressRate"] = request.egress_bits_per_second;
    bandwidth["egressBurst"] = kBurstBits;
  }
  if (!bandwidth.empty()) arguments["bandwidth"] = std::move(bandwidth);
  arguments.merge(NodeArguments());
  return arguments;
}

CapabilityArgs CniNetwork::NodeArguments() const {
  CapabilityArgs arguments;
  absl::MutexLock lock(&mutex_);
  if (!ip_ranges_.is_null()) arguments["ipRanges"] = ip_ranges_;
  return arguments;
}

absl::StatusOr<NetworkList> CniNetwork::LoadSettled() const {
  PINION_ASSIGN_OR_RETURN(NetworkList list, LoadList(options_.cni_conf_dir));
  return plugins_.Settle(std::move(list));
}

std::string CniNetwork::NetnsPath(const std::string& pod_id) const {
  absl::MutexLock lock(&mutex_);
  const auto found = namespaces_.find(pod_id);
  if (found == namespaces_.end()) return "";
  return absl::StrCat("/proc/", getpid(), "/fd/", found->second.get());
}

Readiness CniNetwork::GetReadiness() const {
  const absl::StatusOr<NetworkList> list = LoadList(options_.cni_conf_dir);
  if (!list.ok()) {
    return {false,
            absl::IsNotFound(list.status()) ? "CniConfigMissing"
                                            : "CniConfigInvalid",
            std::string(list.status().message())};
  }
  for (const Plugin& plugin : list->plugins) {
    const auto program = FindPlugin(options_.cni_bin_dirs, plugin.type);
    if (program.ok()) continue;
    return {false, "CniPluginMissing", std::string(program.status().message())};
  }
  const std::optional<absl::Status> status =
      plugins_.Last(*list, NodeArguments());
  if (!status) {
    return {false, "CniStatusPending",
            "the plugins are being asked whether they are ready (STATUS)"};
  }
  if (!status->ok()) {
    return {false, "CniPluginNotReady", std::string(status->message())};
  }
  return {true, "", ""};
}

absl::Status CniNetwork::SetPodCidr(const std::string& pod_cidr) {
  if (pod_cidr.empty()) return absl::OkStatus();
  PINION_RETURN_IF_ERROR(Annotate(ParseRanges(pod_cidr).status(), "pod CIDR"));
  Json ranges = Json::array();
  for (const std::string& cidr :
       std::vector<std::string>(absl::StrSplit(pod_cidr, ','))) {
    ranges.push_back(Json::array({{{"subnet", cidr}}}));
  }
  absl::MutexLock lock(&mutex_);
  ip_ranges_ = std::move(ranges);
  return absl::OkStatus();
}

void CniNetwork::HoldKnown(const KnownPod& pod) {
  if (pod.netns_path.empty()) return;
  const absl::StatusOr<Attachment> attachment = store_.Load(pod.pod_id);
  // O_PATH: whatever else it may be by now, opening it waits for nothing.
  auto netns = os::OpenAt(AT_FDCWD, pod.netns_path, O_PATH);
  if (!attachment.ok() || !netns.ok()) return;
  // Whose number it is may have changed hands.
  if (InodeOf(netns->get()).value_or(0) != attachment->netns_inode) return;
  absl::MutexLock lock(&mutex_);
  namespaces_.emplace(pod.pod_id, *std::move(netns));
}

absl::Status CniNetwork::Reconcile(const std::vector<KnownPod>& pods) {
  std::set<std::string> known;
  for (const KnownPod& pod : pods) {
    known.insert(pod.pod_id);
    HoldKnown(pod);
  }
  if (janitor_.joinable()) janitor_.join();
  // Now: what is attached from here on is nobody's leftover.
  PINION_ASSIGN_OR_RETURN(std::vector<std::string> attached, store_.List());
  janitor_ = std::thread(
      [this, known = std::move(known), attached = std::move(attached)] {
        TidyUp(known, attached);
      });
  return absl::OkStatus();
}

void CniNetwork::TidyUp(const std::set<std::string>& known,
                        const std::vector<std::string>& attached) {
  for (const std::string& id : attached) {
    if (stopping_) return;
    if (known.count(id) != 0) continue;
    const absl::Status status = Detach(id);
    Log(status.ok() ? LogLevel::kInfo : LogLevel::kWarning,
        "detached a pod that is gone from its CNI network",
        {{"pod", id}, {"result", status.ToString()}});
  }
  CollectGarbage();
  for (const std::string& id : attached) Check(id);
}

void CniNetwork::Check(const std::string& pod_id) {
  const PodLock lock(this, pod_id);
  const absl::StatusOr<Attachment> attachment = store_.Load(pod_id);
  const std::string netns = NetnsPath(pod_id);
  if (!attachment.ok() || netns.empty() || attachment->result.is_null() ||
      attachment->list.disable_check || !IsAtLeast(attachment->list, "0.4.0")) {
    return;
  }
  for (const Plugin& plugin : attachment->list.plugins) {
    if (stopping_) return;
    const absl::Status status =
        Run(*attachment, plugin, kCheck, netns, attachment->result,
            absl::FromChrono(kBackground))
            .status();
    if (status.ok()) continue;
    Log(LogLevel::kWarning, "a pod's network is not as its CNI plugins left it",
        {{"pod", pod_id}, {"error", status.ToString()}});
    return;
  }
}

void CniNetwork::CollectGarbage() {
  absl::StatusOr<NetworkList> list = LoadSettled();
  if (!list.ok() || list->disable_gc || !IsAtLeast(*list, "1.1.0")) return;
  {
    absl::MutexLock lock(&mutex_);
    const auto idle = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      return adds_ == 0;
    };
    // Where ADDs never pause there is the next start.
    if (!mutex_.AwaitWithTimeout(absl::Condition(&idle),
                                 absl::FromChrono(kBackground))) {
      return;
    }
    collecting_ = true;
  }
  for (Plugin& plugin : list->plugins) {
    plugin.conf["cni.dev/valid-attachments"] = ValidAttachments();
  }
  Attachment none;
  none.list = *std::move(list);
  for (const Plugin& plugin : none.list.plugins) {
    if (stopping_) break;
    const absl::Status status =
        Run(none, plugin, kGc, "", Json(), absl::FromChrono(kBackground))
            .status();
    if (status.ok()) continue;
    Log(LogLevel::kWarning, "a CNI plugin did not collect its garbage",
        {{"error", status.ToString()}});
  }
  absl::MutexLock lock(&mutex_);
  collecting_ = false;
}

// Also one whose DEL has failed, which will be asked again.
Json CniNetwork::ValidAttachments() const {
  Json valid = Json::array();
  const absl::StatusOr<std::vector<std::string>> ids = store_.List();
  if (!ids.ok()) return valid;
  for (const std::string& id : *ids) {
    const absl::StatusOr<Attachment> attachment = store_.Load(id);
    valid.push_back({{"containerID", id},
                     {"ifname", attachment.ok() ? attachment->interface_name
                                                : options_.interface_name}});
  }
  return valid;
}

}  // namespace pinion::network::cni
