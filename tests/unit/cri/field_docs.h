// docs/cri.md's tables of fields, read for the tests that hold them to the
// contract and to the code.

#ifndef PINION_TESTS_UNIT_CRI_FIELD_DOCS_H_
#define PINION_TESTS_UNIT_CRI_FIELD_DOCS_H_

#include <map>
#include <string>
#include <vector>

namespace pinion::cri {

struct FieldRow {
  std::string verdict;  // "honoured", "recorded", "no effect", "refused"
  std::string text;
};

// A section: the messages it is about, and its rows by field.
struct FieldSection {
  std::vector<std::string> messages;
  std::map<std::string, FieldRow> rows;
  // Fields that the table names twice.
  std::vector<std::string> repeated;
};

// The sections below "## Fields".
std::vector<FieldSection> ReadFieldDocs(const std::string& path);

}  // namespace pinion::cri

#endif  // PINION_TESTS_UNIT_CRI_FIELD_DOCS_H_
