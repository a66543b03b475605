// toml++ with one set of its switches for the whole program. Include this,
// never <toml++/toml.h>: the library is header-only, and two files that set
// the switches differently break the one-definition rule; the linker then
// mixes their code and a well-formed file fails to parse.
//
// toml++ 3.3.0 meets some malformed input ("[[[") with an assertion, or, with
// NDEBUG, with undefined behaviour. Here that is an exception like its
// toml::parse_error: whoever parses foreign text catches both.

#ifndef PINION_BASE_TOML_H_
#define PINION_BASE_TOML_H_

namespace pinion {

struct TomlAssertion {};

inline void FailTomlAssertion() { throw TomlAssertion(); }

}  // namespace pinion

#pragma push_macro("NDEBUG")
#undef NDEBUG  // With it, toml++ drops its assertions.
#define TOML_EXCEPTIONS 1
#define TOML_ASSERT(condition) \
  ((condition) ? static_cast<void>(0) : ::pinion::FailTomlAssertion())
#include <toml++/toml.h>
#pragma pop_macro("NDEBUG")

#endif  // PINION_BASE_TOML_H_
