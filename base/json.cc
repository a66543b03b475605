#include "base/json.h"

#include "absl/strings/str_cat.h"

namespace pinion {
namespace {

constexpr int kMaxDepth = 64;
// A value of nlohmann::json takes about 100 bytes with its tree node, so this
// bounds what 4 MiB of "[[[[" or "{}," become in memory.
constexpr size_t kMaxValues = size_t{1} << 18;

// Counts before anything is built.
absl::Status CheckShape(std::string_view text, const std::string& what) {
  int depth = 0;
  size_t values = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') {
        ++i;
      } else if (c == '"') {
        in_string = false;
      }
      continue;
    }
    if (c == '"') in_string = true;
    if (c == '{' || c == '[') ++depth;
    if (c == '}' || c == ']') --depth;
    if (c == '{' || c == '[' || c == ',') ++values;
    if (depth > kMaxDepth || values > kMaxValues) {
      return absl::InvalidArgumentError(
          absl::StrCat(what, ": too deep or too many values"));
    }
  }
  return absl::OkStatus();
}

absl::Status WrongType(const char* key, const char* want) {
  return absl::InvalidArgumentError(
      absl::StrCat("member \"", key, "\" is not ", want));
}

// A string without NUL: all of them end up in C strings.
bool IsText(const Json& value) {
  return value.is_string() &&
         value.get_ref<const std::string&>().find('\0') == std::string::npos;
}

const Json* Member(const Json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end() || found->is_null()) return nullptr;
  return &*found;
}

absl::StatusOr<Json> Parse(std::string_view text, const std::string& what) {
  if (text.size() > kMaxJsonBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat(what, ": longer than ", kMaxJsonBytes, " bytes"));
  }
  if (absl::Status shape = CheckShape(text, what); !shape.ok()) return shape;
  Json document = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (document.is_discarded()) {
    return absl::InvalidArgumentError(absl::StrCat(what, ": not JSON"));
  }
  return document;
}

}  // namespace

absl::StatusOr<Json> ParseJsonObject(std::string_view text,
                                     const std::string& what) {
  auto document = Parse(text, what);
  if (document.ok() && !document->is_object()) {
    return absl::InvalidArgumentError(absl::StrCat(what, ": not an object"));
  }
  return document;
}

absl::StatusOr<Json> ParseJsonArray(std::string_view text,
                                    const std::string& what) {
  auto document = Parse(text, what);
  if (document.ok() && !document->is_array()) {
    return absl::InvalidArgumentError(absl::StrCat(what, ": not an array"));
  }
  return document;
}

absl::StatusOr<std::string> JsonString(const Json& object, const char* key) {
  const Json* member = Member(object, key);
  if (member == nullptr) return std::string();
  if (!IsText(*member)) return WrongType(key, "a string");
  return member->get<std::string>();
}

absl::StatusOr<uint64_t> JsonSize(const Json& object, const char* key) {
  const Json* member = Member(object, key);
  if (member == nullptr) return uint64_t{0};
  if (!member->is_number_unsigned() ||
      member->get<uint64_t>() > (uint64_t{1} << 62)) {
    return WrongType(key, "a size");
  }
  return member->get<uint64_t>();
}

absl::StatusOr<std::vector<std::string>> JsonStrings(const Json& object,
                                                     const char* key) {
  std::vector<std::string> result;
  const Json* member = Member(object, key);
  if (member == nullptr) return result;
  if (!member->is_array()) return WrongType(key, "an array of strings");
  for (const Json& value : *member) {
    if (!IsText(value)) return WrongType(key, "an array of strings");
    result.push_back(value.get<std::string>());
  }
  return result;
}

absl::StatusOr<std::map<std::string, std::string>> JsonStringMap(
    const Json& object, const char* key) {
  std::map<std::string, std::string> result;
  const Json* member = Member(object, key);
  if (member == nullptr) return result;
  if (!member->is_object()) return WrongType(key, "an object of strings");
  for (const auto& [name, value] : member->items()) {
    if (!IsText(value)) return WrongType(key, "an object of strings");
    result.emplace(name, value.get<std::string>());
  }
  return result;
}

absl::StatusOr<const Json*> JsonObject(const Json& object, const char* key) {
  const Json* member = Member(object, key);
  if (member != nullptr && !member->is_object()) {
    return WrongType(key, "an object");
  }
  return member;
}

absl::StatusOr<const Json*> JsonArray(const Json& object, const char* key) {
  const Json* member = Member(object, key);
  if (member != nullptr && !member->is_array()) {
    return WrongType(key, "an array");
  }
  return member;
}

}  // namespace pinion
