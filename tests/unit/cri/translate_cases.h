// Tables of requests that must be refused: a valid request, one change, and
// what the refusal must say.

#ifndef PINION_TESTS_UNIT_CRI_TRANSLATE_CASES_H_
#define PINION_TESTS_UNIT_CRI_TRANSLATE_CASES_H_

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"

namespace pinion::cri {

template <typename Request>
struct RefusedCase {
  std::string says;  // part of the message: the field's name, at least
  std::function<void(Request&)> change;
  absl::StatusCode code = absl::StatusCode::kInvalidArgument;
};

// Applies each change to a fresh `valid` and expects `translate` to refuse it.
template <typename Request, typename Translate>
void ExpectRefused(const Request& valid, Translate translate,
                   const std::vector<RefusedCase<Request>>& cases) {
  ASSERT_TRUE(translate(valid).ok()) << translate(valid).status();
  for (const auto& refused : cases) {
    SCOPED_TRACE(refused.says);
    Request request = valid;
    refused.change(request);
    const absl::Status status = translate(request).status();
    EXPECT_EQ(status.code(), refused.code) << status;
    EXPECT_THAT(std::string(status.message()),
                testing::HasSubstr(refused.says));
    EXPECT_LT(status.message().size(), 400u);
  }
}

// The same for changes that must be accepted.
template <typename Request, typename Translate>
void ExpectAccepted(const Request& valid, Translate translate,
                    const std::vector<std::function<void(Request&)>>& changes) {
  for (size_t i = 0; i < changes.size(); ++i) {
    SCOPED_TRACE(i);
    Request request = valid;
    changes[i](request);
    EXPECT_TRUE(translate(request).ok()) << translate(request).status();
  }
}

}  // namespace pinion::cri

#endif  // PINION_TESTS_UNIT_CRI_TRANSLATE_CASES_H_
