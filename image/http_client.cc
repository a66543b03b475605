#include "image/http_client.h"

#include <curl/curl.h>

#include <cstdlib>
#include <mutex>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace pinion::image {
namespace {

constexpr size_t kBuffer = size_t{128} << 10;
// One step of libcurl may bring more than the buffer; beyond this it waits.
constexpr size_t kMaxBuffered = size_t{512} << 10;
constexpr size_t kMaxHeaderBytes = size_t{64} << 10;
constexpr int kPollMs = 1000;

using SteadyClock = std::chrono::steady_clock;

std::string Environment(const char* lower, const char* upper) {
  const char* value = std::getenv(lower);
  if (value == nullptr && upper != nullptr) value = std::getenv(upper);
  return value == nullptr ? "" : value;
}

// Text for people from a stranger: printable and short.
std::string Printable(const char* text) {
  std::string result;
  for (; *text != '\0' && result.size() < 300; ++text) {
    result +=
        absl::ascii_isprint(static_cast<unsigned char>(*text)) ? *text : '?';
  }
  return result;
}

absl::Status CurlStatus(CURLcode code, const char* detail,
                        const std::string& url) {
  const std::string text = absl::StrCat(
      "GET ", WithoutQuery(url), ": ",
      Printable(*detail == '\0' ? curl_easy_strerror(code) : detail));
  switch (code) {
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CIPHER:
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_BAD_FUNCTION_ARGUMENT:
    case CURLE_WRITE_ERROR:
      return absl::FailedPreconditionError(text);
    case CURLE_OUT_OF_MEMORY:
      return absl::ResourceExhaustedError(text);
    default:
      return absl::UnavailableError(text);
  }
}

}  // namespace

std::string HttpResponse::Header(const std::string& name) const {
  for (const auto& [key, value] : headers) {
    if (key == name) return value;
  }
  return "";
}

std::vector<std::string> HttpResponse::Headers(const std::string& name) const {
  std::vector<std::string> result;
  for (const auto& [key, value] : headers) {
    if (key == name) result.push_back(value);
  }
  return result;
}

class CurlTransfer : public HttpTransfer {
 public:
  CurlTransfer(HttpClient* client, const HttpRequest& request)
      : client_(client),
        request_(request),
        proxy_(client->ProxyFor(request.url)),
        multi_(client->TakeMulti()),
        easy_(curl_easy_init()) {}

  ~CurlTransfer() override {
    if (added_) curl_multi_remove_handle(multi_, easy_);
    curl_easy_cleanup(easy_);
    curl_slist_free_all(headers_);
    client_->GiveMulti(multi_);
  }

  const HttpResponse& response() const override { return response_; }

  absl::Status Start() {
    if (easy_ == nullptr || multi_ == nullptr) {
      return absl::ResourceExhaustedError("libcurl has no memory");
    }
    SetOptions();
    if (curl_multi_add_handle(multi_, easy_) != CURLM_OK) {
      return absl::InternalError("curl_multi_add_handle failed");
    }
    added_ = true;
    while (!headers_done_ && !done_) {
      const absl::Status status = Step();
      if (status.ok()) continue;
      if (!headers_done_) return status;
      error_status_ = status;
    }
    if (!headers_done_) {
      return absl::UnavailableError(
          absl::StrCat("GET ", WithoutQuery(request_.url.text),
                       ": the answer has no header"));
    }
    return absl::OkStatus();
  }

  absl::StatusOr<std::string_view> Next() override {
    buffer_.swap(fresh_);
    fresh_.clear();
    if (paused_) {
      paused_ = false;
      curl_easy_pause(easy_, CURLPAUSE_CONT);
    }
    while (buffer_.empty() && error_status_.ok() && !done_) {
      error_status_ = Step();
      buffer_.swap(fresh_);
    }
    // What came before the connection broke comes first: the next attempt
    // goes on after it.
    if (buffer_.empty() && !error_status_.ok()) return error_status_;
    return std::string_view(buffer_);
  }

 private:
  void SetOptions() {
    fresh_.reserve(kBuffer);
    buffer_.reserve(kBuffer);
    const auto set = [this](auto option, auto value) {
      curl_easy_setopt(easy_, option, value);
    };
    set(CURLOPT_URL, request_.url.text.c_str());
    set(CURLOPT_PROTOCOLS_STR, "http,https");
    set(CURLOPT_FOLLOWLOCATION, 0L);
    set(CURLOPT_NOSIGNAL, 1L);
    set(CURLOPT_ERRORBUFFER, error_);
    set(CURLOPT_USERAGENT, "pinion");
    set(CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_2TLS));
    set(CURLOPT_BUFFERSIZE, static_cast<long>(kBuffer));
    set(CURLOPT_CONNECTTIMEOUT,
        static_cast<long>(client_->limits_.connect.count()));
    set(CURLOPT_TCP_KEEPALIVE, 1L);
    set(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    set(CURLOPT_PROXY, proxy_.c_str());  // "" also overrules the environment
    no_proxy_ = client_->proxy_.no_proxy.empty()
                    ? Environment("no_proxy", "NO_PROXY")
                    : client_->proxy_.no_proxy;
    set(CURLOPT_NOPROXY, no_proxy_.c_str());
    set(CURLOPT_WRITEFUNCTION, &CurlTransfer::OnBody);
    set(CURLOPT_WRITEDATA, this);
    set(CURLOPT_HEADERFUNCTION, &CurlTransfer::OnHeader);
    set(CURLOPT_HEADERDATA, this);
    if (!request_.form.empty()) {
      set(CURLOPT_POSTFIELDSIZE, static_cast<long>(request_.form.size()));
      set(CURLOPT_POSTFIELDS, request_.form.c_str());
    }
    const TlsOptions& tls = request_.tls;
    set(CURLOPT_SSL_VERIFYPEER, tls.skip_verify ? 0L : 1L);
    set(CURLOPT_SSL_VERIFYHOST, tls.skip_verify ? 0L : 2L);
    if (!tls.ca_pem.empty()) {
      // In place of the system's bundle; the system's directory, which has
      // the same certificates, stays.
      curl_blob blob = {const_cast<char*>(tls.ca_pem.data()), tls.ca_pem.size(),
                        CURL_BLOB_COPY};
      set(CURLOPT_CAINFO_BLOB, &blob);
      set(CURLOPT_CAPATH, "/etc/ssl/certs");
    }
    if (!tls.client_cert_file.empty()) {
      set(CURLOPT_SSLCERT, tls.client_cert_file.c_str());
      set(CURLOPT_SSLKEY, tls.client_key_file.empty()
                              ? tls.client_cert_file.c_str()
                              : tls.client_key_file.c_str());
    }
    for (const auto& [name, value] : request_.headers) {
      headers_ =
          curl_slist_append(headers_, absl::StrCat(name, ": ", value).c_str());
    }
    set(CURLOPT_HTTPHEADER, headers_);
  }

  // Lets libcurl work once; waits if it had nothing to do.
  absl::Status Step() {
    PINION_RETURN_IF_ERROR(client_->cancel_->Check());
    const size_t before = received_;
    int running = 0;
    const CURLMcode code = curl_multi_perform(multi_, &running);
    if (code != CURLM_OK) {
      return absl::InternalError(
          absl::StrCat("curl_multi_perform: ", curl_multi_strerror(code)));
    }
    if (running == 0) return Finish();
    if (received_ != before) return absl::OkStatus();
    return WaitForData();
  }

  absl::Status WaitForData() {
    curl_waitfd cancel = {client_->cancel_->fd(), CURL_WAIT_POLLIN, 0};
    const auto start = SteadyClock::now();
    curl_multi_poll(multi_, &cancel, cancel.fd >= 0 ? 1 : 0, kPollMs, nullptr);
    waited_ += SteadyClock::now() - start;
    const TransferLimits& limits = client_->limits_;
    if (waited_ < limits.stall) return absl::OkStatus();
    const uint64_t wanted = limits.min_bytes_per_second *
                            static_cast<uint64_t>(limits.stall.count());
    if (received_ - window_start_ < wanted) {
      return absl::UnavailableError(absl::StrCat(
          "GET ", WithoutQuery(request_.url.text), ": stalled: ",
          received_ - window_start_, " bytes in ", limits.stall.count(), " s"));
    }
    waited_ = {};
    window_start_ = received_;
    return absl::OkStatus();
  }

  absl::Status Finish() {
    done_ = true;
    int left = 0;
    while (const CURLMsg* message = curl_multi_info_read(multi_, &left)) {
      if (message->msg != CURLMSG_DONE) continue;
      if (message->data.result != CURLE_OK) {
        return CurlStatus(message->data.result, error_, request_.url.text);
      }
    }
    return absl::OkStatus();
  }

  static size_t OnBody(char* data, size_t, size_t size, void* self) {
    auto* transfer = static_cast<CurlTransfer*>(self);
    if (transfer->fresh_.size() + size > kMaxBuffered) {
      transfer->paused_ = true;
      return CURL_WRITEFUNC_PAUSE;
    }
    transfer->fresh_.append(data, size);
    transfer->received_ += size;
    return size;
  }

  static size_t OnHeader(char* data, size_t, size_t size, void* self) {
    auto* transfer = static_cast<CurlTransfer*>(self);
    transfer->header_bytes_ += size;
    if (transfer->header_bytes_ > kMaxHeaderBytes) return 0;
    transfer->received_ += size;
    transfer->ReadHeader(
        absl::StripAsciiWhitespace(absl::string_view(data, size)));
    return size;
  }

  void ReadHeader(absl::string_view line) {
    if (headers_done_) return;  // trailers
    if (line.empty()) {
      long status = 0;
      curl_easy_getinfo(easy_, CURLINFO_RESPONSE_CODE, &status);
      response_.status = static_cast<int>(status);
      headers_done_ = status >= 200;
      if (!headers_done_) response_.headers.clear();
      return;
    }
    const size_t colon = line.find(':');
    if (colon == absl::string_view::npos || colon == 0) return;
    response_.headers.emplace_back(
        absl::AsciiStrToLower(line.substr(0, colon)),
        std::string(absl::StripAsciiWhitespace(line.substr(colon + 1))));
  }

  HttpClient* const client_;
  const HttpRequest request_;
  const std::string proxy_;
  std::string no_proxy_;
  CURLM* const multi_;
  CURL* const easy_;
  curl_slist* headers_ = nullptr;
  char error_[CURL_ERROR_SIZE] = "";
  HttpResponse response_;
  size_t header_bytes_ = 0;
  bool added_ = false;
  bool headers_done_ = false;
  bool done_ = false;
  bool paused_ = false;
  absl::Status error_status_;  // comes after the data in front of it
  std::string fresh_;          // what libcurl brought
  std::string buffer_;         // what the consumer looks at
  uint64_t received_ = 0;
  uint64_t window_start_ = 0;
  SteadyClock::duration waited_{};
};

HttpClient::HttpClient(ProxyOptions proxy, TransferLimits limits,
                       const CancelToken* cancel)
    : proxy_(std::move(proxy)), limits_(limits), cancel_(cancel) {
  static std::once_flag once;
  std::call_once(once, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
}

HttpClient::~HttpClient() {
  const absl::MutexLock lock(&mutex_);
  for (void* multi : idle_) curl_multi_cleanup(multi);
}

absl::StatusOr<std::unique_ptr<HttpTransfer>> HttpClient::Start(
    const HttpRequest& request) {
  auto transfer = std::make_unique<CurlTransfer>(this, request);
  PINION_RETURN_IF_ERROR(transfer->Start());
  return std::unique_ptr<HttpTransfer>(std::move(transfer));
}

void* HttpClient::TakeMulti() {
  {
    const absl::MutexLock lock(&mutex_);
    if (!idle_.empty()) {
      void* multi = idle_.back();
      idle_.pop_back();
      return multi;
    }
  }
  return curl_multi_init();
}

void HttpClient::GiveMulti(void* multi) {
  if (multi == nullptr) return;
  const absl::MutexLock lock(&mutex_);
  idle_.push_back(multi);
}

std::string HttpClient::ProxyFor(const Url& url) const {
  if (IsLoopbackHost(url.host)) return "";
  std::string proxy;
  if (url.scheme == "https") {
    proxy = proxy_.https_proxy.empty()
                ? Environment("https_proxy", "HTTPS_PROXY")
                : proxy_.https_proxy;
  } else {
    proxy = proxy_.http_proxy.empty() ? Environment("http_proxy", "HTTP_PROXY")
                                      : proxy_.http_proxy;
  }
  return proxy;
}

}  // namespace pinion::image
