// JSON from strangers: bounded in size, depth and number of values, and read
// with the type that is expected or refused.
//
// Thread-safe.

#ifndef PINION_BASE_JSON_H_
#define PINION_BASE_JSON_H_

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace pinion {

using Json = nlohmann::json;

// Manifests, indexes and configurations: at most 4 MiB (the distribution
// specification's limit for a manifest).
inline constexpr size_t kMaxJsonBytes = size_t{4} << 20;

// An object; InvalidArgument for anything else. `what` names the document.
absl::StatusOr<Json> ParseJsonObject(std::string_view text,
                                     const std::string& what);

// The same for an array.
absl::StatusOr<Json> ParseJsonArray(std::string_view text,
                                    const std::string& what);

// The member `key` of `object`: the default if it is absent or null,
// InvalidArgument if it is there with another type.
absl::StatusOr<std::string> JsonString(const Json& object, const char* key);
// An integer of 0 … 2^62.
absl::StatusOr<uint64_t> JsonSize(const Json& object, const char* key);
absl::StatusOr<std::vector<std::string>> JsonStrings(const Json& object,
                                                     const char* key);
absl::StatusOr<std::map<std::string, std::string>> JsonStringMap(
    const Json& object, const char* key);
// Null, or an object; null, or an array.
absl::StatusOr<const Json*> JsonObject(const Json& object, const char* key);
absl::StatusOr<const Json*> JsonArray(const Json& object, const char* key);

}  // namespace pinion

#endif  // PINION_BASE_JSON_H_
