// The WWW-Authenticate header (RFC 9110, 11.6.1), as registries use it.
//
// Thread-safe.

#ifndef PINION_IMAGE_CHALLENGE_H_
#define PINION_IMAGE_CHALLENGE_H_

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace pinion::image {

struct Challenge {
  std::string scheme;                         // lower case
  std::map<std::string, std::string> params;  // names in lower case
};

// The challenges of one header value. What cannot be read ends the list: a
// client that does not understand a challenge must not answer it.
std::vector<Challenge> ParseChallenges(std::string_view value);

}  // namespace pinion::image

#endif  // PINION_IMAGE_CHALLENGE_H_
