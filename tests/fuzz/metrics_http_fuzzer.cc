// What anybody may send to the metrics endpoint: always an answer with a
// status line and a length that is true.

#include <cstdint>
#include <cstdlib>
#include <string>

#include "metrics/http_endpoint.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const auto& registry = *new std::unique_ptr<pinion::metrics::Registry>(
      pinion::metrics::Registry::Create());
  const std::string request(reinterpret_cast<const char*>(data), size);
  const std::string answer =
      pinion::metrics::AnswerHttp(request + "\r\n\r\n", *registry);
  if (answer.compare(0, 9, "HTTP/1.1 ") != 0) std::abort();
  const size_t length = answer.find("\r\nContent-Length: ");
  const size_t body = answer.find("\r\n\r\n");
  if (length == std::string::npos || body == std::string::npos) std::abort();
  const size_t told = std::strtoul(answer.c_str() + length + 18, nullptr, 10);
  const bool head = request.compare(0, 5, "HEAD ") == 0;
  if (!head && told != answer.size() - body - 4) std::abort();
  return 0;
}
