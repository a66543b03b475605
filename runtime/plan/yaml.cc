#include "runtime/plan/yaml.h"

#include <yaml.h>

#include <charconv>
#include <cstdint>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace pinion::plan {
namespace {

using Json = nlohmann::json;

constexpr int kMaxDepth = 64;
constexpr int kMaxValues = 100000;

// One event, released by its end.
class Event {
 public:
  Event() = default;
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  ~Event() { yaml_event_delete(&event_); }

  yaml_event_t* get() { return &event_; }
  const yaml_event_t* operator->() const { return &event_; }

 private:
  yaml_event_t event_ = {};
};

std::string Text(const yaml_char_t* bytes, size_t size) {
  return std::string(reinterpret_cast<const char*>(bytes), size);
}

std::optional<int64_t> ParseInteger(const std::string& text) {
  const bool negative = text[0] == '-';
  size_t start = negative || text[0] == '+' ? 1 : 0;
  int base = 10;
  if (text.compare(start, 2, "0x") == 0) {
    base = 16;
    start += 2;
  } else if (text.compare(start, 2, "0o") == 0) {
    base = 8;
    start += 2;
  } else if (text.size() > start + 1 && text[start] == '0') {
    base = 8;
    start += 1;
  }
  int64_t value = 0;
  const char* end = text.data() + text.size();
  const auto [at, error] =
      std::from_chars(text.data() + start, end, value, base);
  // A second sign is from_chars' to take, not YAML's.
  if (error != std::errc() || at != end || value < 0 || text[start] == '-') {
    return std::nullopt;
  }
  return negative ? -value : value;
}

Json PlainScalar(const std::string& text) {
  if (text.empty() || text == "~" || text == "null" || text == "Null" ||
      text == "NULL") {
    return nullptr;
  }
  if (text == "true" || text == "True" || text == "TRUE") return true;
  if (text == "false" || text == "False" || text == "FALSE") return false;
  const std::optional<int64_t> number = ParseInteger(text);
  if (!number.has_value()) return text;
  if (*number >= 0) return static_cast<uint64_t>(*number);
  return *number;
}

class Reader {
 public:
  explicit Reader(const std::string& text) {
    ready_ = yaml_parser_initialize(&parser_) != 0;
    if (!ready_) return;
    yaml_parser_set_encoding(&parser_, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(
        &parser_, reinterpret_cast<const unsigned char*>(text.data()),
        text.size());
  }
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;
  ~Reader() {
    if (ready_) yaml_parser_delete(&parser_);
  }

  absl::StatusOr<Json> Document() {
    if (!ready_) return absl::ResourceExhaustedError("yaml: no memory");
    PINION_RETURN_IF_ERROR(Expect(YAML_STREAM_START_EVENT));
    PINION_RETURN_IF_ERROR(Expect(YAML_DOCUMENT_START_EVENT));
    Event event;
    PINION_RETURN_IF_ERROR(Next(event));
    PINION_ASSIGN_OR_RETURN(Json root, Value(event, 0));
    PINION_RETURN_IF_ERROR(Expect(YAML_DOCUMENT_END_EVENT));
    PINION_RETURN_IF_ERROR(Expect(YAML_STREAM_END_EVENT));
    return root;
  }

 private:
  absl::Status Malformed(size_t line, const std::string& what) const {
    return absl::InvalidArgumentError(
        absl::StrCat("line ", line + 1, ": ", what));
  }
  absl::Status Malformed(const Event& event, const std::string& what) const {
    return Malformed(event->start_mark.line, what);
  }

  absl::Status Next(Event& event) {
    if (yaml_parser_parse(&parser_, event.get()) != 0) return absl::OkStatus();
    return Malformed(parser_.problem_mark.line, parser_.problem != nullptr
                                                    ? parser_.problem
                                                    : "malformed YAML");
  }

  absl::Status Expect(yaml_event_type_t type) {
    Event event;
    PINION_RETURN_IF_ERROR(Next(event));
    if (event->type == type) return absl::OkStatus();
    return Malformed(event, "not one YAML document");
  }

  absl::Status CheckTag(const Event& event, const yaml_char_t* tag) const {
    if (tag == nullptr) return absl::OkStatus();
    return Malformed(event, "a tag");
  }

  absl::StatusOr<Json> Value(const Event& event, int depth) {
    if (depth > kMaxDepth) return Malformed(event, "too many levels");
    if (++values_ > kMaxValues) return Malformed(event, "too many values");
    switch (event->type) {
      case YAML_SCALAR_EVENT:
        return Scalar(event);
      case YAML_SEQUENCE_START_EVENT:
        PINION_RETURN_IF_ERROR(CheckTag(event, event->data.sequence_start.tag));
        return Sequence(depth);
      case YAML_MAPPING_START_EVENT:
        PINION_RETURN_IF_ERROR(CheckTag(event, event->data.mapping_start.tag));
        return Mapping(depth);
      case YAML_ALIAS_EVENT:
        return Malformed(event, "an alias");
      default:
        return Malformed(event, "no value");
    }
  }

  absl::StatusOr<Json> Scalar(const Event& event) const {
    const auto& scalar = event->data.scalar;
    std::string text = Text(scalar.value, scalar.length);
    if (scalar.tag != nullptr) {
      if (std::string(reinterpret_cast<const char*>(scalar.tag)) !=
          YAML_STR_TAG) {
        return Malformed(event, "a tag");
      }
      return Json(std::move(text));
    }
    if (scalar.style == YAML_PLAIN_SCALAR_STYLE) return PlainScalar(text);
    return Json(std::move(text));
  }

  absl::StatusOr<Json> Sequence(int depth) {
    Json list = Json::array();
    while (true) {
      Event event;
      PINION_RETURN_IF_ERROR(Next(event));
      if (event->type == YAML_SEQUENCE_END_EVENT) return list;
      PINION_ASSIGN_OR_RETURN(Json value, Value(event, depth + 1));
      list.push_back(std::move(value));
    }
  }

  absl::StatusOr<Json> Mapping(int depth) {
    Json object = Json::object();
    while (true) {
      Event key;
      PINION_RETURN_IF_ERROR(Next(key));
      if (key->type == YAML_MAPPING_END_EVENT) return object;
      if (key->type != YAML_SCALAR_EVENT) {
        return Malformed(key, "a key that is no scalar");
      }
      const std::string name =
          Text(key->data.scalar.value, key->data.scalar.length);
      if (object.contains(name)) {
        return Malformed(key, absl::StrCat("key ", name, " comes twice"));
      }
      Event event;
      PINION_RETURN_IF_ERROR(Next(event));
      PINION_ASSIGN_OR_RETURN(object[name], Value(event, depth + 1));
    }
  }

  yaml_parser_t parser_ = {};
  bool ready_ = false;
  int values_ = 0;
};

}  // namespace

absl::StatusOr<Json> YamlToJson(const std::string& text) {
  return Reader(text).Document();
}

}  // namespace pinion::plan
