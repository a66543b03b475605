// YAML as JSON: what a configuration file of others says, for parsers that
// are written for JSON.
//
// Thread-safe.

#ifndef PINION_RUNTIME_PLAN_YAML_H_
#define PINION_RUNTIME_PLAN_YAML_H_

#include <nlohmann/json.hpp>
#include <string>

#include "absl/status/statusor.h"

namespace pinion::plan {

// The one document of `text` (YAML 1.1). Plain scalars are null, booleans,
// integers (decimal, 0x…, 0… and 0o… octal) or else strings. InvalidArgument
// with the line: malformed, more than one document, a key that comes twice or
// is no scalar, an alias (a few lines of them make gigabytes), a tag but
// !!str, more than 64 levels or 100,000 values.
absl::StatusOr<nlohmann::json> YamlToJson(const std::string& text);

}  // namespace pinion::plan

#endif  // PINION_RUNTIME_PLAN_YAML_H_
