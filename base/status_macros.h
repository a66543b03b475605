// Early return on errors, and phrases added on the way up.
//
// Convention (docs/architecture.md, "Errors"): the innermost status says
// syscall, object and errno; each layer adds a phrase with Annotate; a status
// is either returned or logged, never both.

#ifndef PINION_BASE_STATUS_MACROS_H_
#define PINION_BASE_STATUS_MACROS_H_

#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"

namespace pinion {

// "phrase: message", with the code and payloads of `status`; OK stays OK.
inline absl::Status Annotate(const absl::Status& status,
                             const std::string& phrase) {
  if (status.ok()) return status;
  absl::Status result(status.code(),
                      absl::StrCat(phrase, ": ", status.message()));
  status.ForEachPayload(
      [&result](absl::string_view url, const absl::Cord& payload) {
        result.SetPayload(url, payload);
      });
  return result;
}

}  // namespace pinion

#define PINION_MACRO_CONCAT_INNER_(a, b) a##b
#define PINION_MACRO_CONCAT_(a, b) PINION_MACRO_CONCAT_INNER_(a, b)

// Returns from the function if `expr` (an absl::Status) is not OK. __COUNTER__
// keeps the names of nested uses (a lambda in `expr`) apart.
#define PINION_RETURN_IF_ERROR(expr) \
  PINION_RETURN_IF_ERROR_IMPL_(      \
      PINION_MACRO_CONCAT_(pinion_status_, __COUNTER__), expr)

#define PINION_RETURN_IF_ERROR_IMPL_(tmp, expr) \
  do {                                          \
    absl::Status tmp = (expr);                  \
    if (!tmp.ok()) return tmp;                  \
  } while (false)

// The same, with a phrase in front of the message.
#define PINION_RETURN_IF_ERROR_AS(expr, phrase) \
  PINION_RETURN_IF_ERROR_AS_IMPL_(              \
      PINION_MACRO_CONCAT_(pinion_status_, __COUNTER__), expr, phrase)

#define PINION_RETURN_IF_ERROR_AS_IMPL_(tmp, expr, phrase)   \
  do {                                                       \
    absl::Status tmp = (expr);                               \
    if (!tmp.ok()) return ::pinion::Annotate(tmp, (phrase)); \
  } while (false)

// `PINION_ASSIGN_OR_RETURN(auto x, F())`: declares or assigns x, or returns
// F()'s status.
#define PINION_ASSIGN_OR_RETURN(lhs, expr) \
  PINION_ASSIGN_OR_RETURN_IMPL_(           \
      PINION_MACRO_CONCAT_(pinion_status_or_, __COUNTER__), lhs, expr)

#define PINION_ASSIGN_OR_RETURN_IMPL_(tmp, lhs, expr) \
  auto tmp = (expr);                                  \
  if (!tmp.ok()) return std::move(tmp).status();      \
  lhs = std::move(tmp).value()

// The same, with a phrase in front of the message.
#define PINION_ASSIGN_OR_RETURN_AS(lhs, expr, phrase) \
  PINION_ASSIGN_OR_RETURN_AS_IMPL_(                   \
      PINION_MACRO_CONCAT_(pinion_status_or_, __COUNTER__), lhs, expr, phrase)

#define PINION_ASSIGN_OR_RETURN_AS_IMPL_(tmp, lhs, expr, phrase)    \
  auto tmp = (expr);                                                \
  if (!tmp.ok()) return ::pinion::Annotate(tmp.status(), (phrase)); \
  lhs = std::move(tmp).value()

#endif  // PINION_BASE_STATUS_MACROS_H_
