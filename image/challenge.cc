#include "image/challenge.h"

#include <cctype>

namespace pinion::image {
namespace {

constexpr size_t kMaxValue = 8192;
constexpr size_t kMaxChallenges = 16;

// tchar of RFC 9110, 5.6.2.
bool IsTokenChar(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 ||
         std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}

class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {}

  bool AtEnd() const { return at_ == text_.size(); }

  bool Take(char c) {
    if (AtEnd() || text_[at_] != c) return false;
    ++at_;
    return true;
  }

  void SkipSpace() {
    while (!AtEnd() && (text_[at_] == ' ' || text_[at_] == '\t')) ++at_;
  }

  void SkipSpaceAndCommas() {
    while (!AtEnd() &&
           (text_[at_] == ' ' || text_[at_] == '\t' || text_[at_] == ',')) {
      ++at_;
    }
  }

  std::string Token() {
    const size_t start = at_;
    while (!AtEnd() && IsTokenChar(text_[at_])) ++at_;
    return std::string(text_.substr(start, at_ - start));
  }

  // False for a string without an end.
  bool Quoted(std::string& value) {
    if (!Take('"')) return false;
    while (!AtEnd()) {
      char c = text_[at_++];
      if (c == '"') return true;
      if (c == '\\') {
        if (AtEnd()) return false;
        c = text_[at_++];
      }
      value += c;
    }
    return false;
  }

  size_t position() const { return at_; }
  void Rewind(size_t position) { at_ = position; }

 private:
  const std::string_view text_;
  size_t at_ = 0;
};

std::string Lower(std::string text) {
  for (char& c : text) {
    c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  return text;
}

// name = token or "quoted"; false, with the reader where it was, if what
// comes is no parameter but the next challenge.
bool ReadParam(Reader& reader, Challenge& challenge) {
  const size_t start = reader.position();
  const std::string name = Lower(reader.Token());
  reader.SkipSpace();
  if (name.empty() || !reader.Take('=')) {
    reader.Rewind(start);
    return false;
  }
  reader.SkipSpace();
  std::string value = reader.Token();
  if (value.empty() && !reader.Quoted(value)) {
    reader.Rewind(start);
    return false;
  }
  challenge.params.emplace(name, std::move(value));
  return true;
}

}  // namespace

std::vector<Challenge> ParseChallenges(std::string_view value) {
  std::vector<Challenge> result;
  if (value.size() > kMaxValue) return result;
  Reader reader(value);
  while (result.size() < kMaxChallenges) {
    reader.SkipSpaceAndCommas();
    Challenge challenge;
    challenge.scheme = Lower(reader.Token());
    if (challenge.scheme.empty()) break;
    const size_t after_scheme = reader.position();
    reader.SkipSpace();
    if (!reader.AtEnd() && reader.position() == after_scheme &&
        !reader.Take(',')) {
      break;
    }
    while (true) {
      reader.SkipSpaceAndCommas();
      if (!ReadParam(reader, challenge)) break;
    }
    result.push_back(std::move(challenge));
  }
  return result;
}

}  // namespace pinion::image
