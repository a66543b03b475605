// Our api.proto against the table of the CRI's wire contract, both ways.

#include <google/protobuf/descriptor.pb.h>
#include <gtest/gtest.h>

#include <fstream>
#include <set>
#include <string>

#include "runtime/v1/api.pb.h"

namespace pinion {
namespace {

namespace pb = google::protobuf;

std::string LocalName(const std::string& full) {
  const std::string prefix = "runtime.v1.";
  return full.rfind(prefix, 0) == 0 ? full.substr(prefix.size()) : full;
}

std::string TypeName(const pb::FieldDescriptor& field) {
  if (field.is_map()) {
    return "map<" + TypeName(*field.message_type()->map_key()) + "," +
           TypeName(*field.message_type()->map_value()) + ">";
  }
  std::string name = field.type_name();
  if (field.type() == pb::FieldDescriptor::TYPE_MESSAGE) {
    name = LocalName(field.message_type()->full_name());
  } else if (field.type() == pb::FieldDescriptor::TYPE_ENUM) {
    name = LocalName(field.enum_type()->full_name());
  }
  return (field.is_repeated() ? "repeated " : "") + name;
}

void AddEnum(const pb::EnumDescriptor& e, std::set<std::string>& rows) {
  for (int i = 0; i < e.value_count(); ++i) {
    rows.insert("enum\t" + LocalName(e.full_name()) + "\t" +
                std::to_string(e.value(i)->number()) + "\t" +
                e.value(i)->name());
  }
}

void AddMessage(const pb::Descriptor& m, std::set<std::string>& rows) {
  if (m.field_count() == 0) rows.insert("message\t" + LocalName(m.full_name()));
  for (int i = 0; i < m.field_count(); ++i) {
    const pb::FieldDescriptor& f = *m.field(i);
    std::string row = "field\t" + LocalName(m.full_name()) + "\t" +
                      std::to_string(f.number()) + "\t" + f.name() + "\t" +
                      TypeName(f);
    if (f.options().deprecated()) row += "\tdeprecated";
    rows.insert(row);
  }
  for (int i = 0; i < m.enum_type_count(); ++i) {
    AddEnum(*m.enum_type(i), rows);
  }
}

std::set<std::string> Compiled() {
  std::set<std::string> rows;
  const pb::FileDescriptor& file =
      *runtime::v1::VersionRequest::descriptor()->file();
  for (int i = 0; i < file.message_type_count(); ++i) {
    AddMessage(*file.message_type(i), rows);
  }
  for (int i = 0; i < file.enum_type_count(); ++i) {
    AddEnum(*file.enum_type(i), rows);
  }
  for (int i = 0; i < file.service_count(); ++i) {
    const pb::ServiceDescriptor& service = *file.service(i);
    for (int j = 0; j < service.method_count(); ++j) {
      const pb::MethodDescriptor& m = *service.method(j);
      rows.insert("rpc\t" + service.name() + "\t\t" + m.name() + "\t" +
                  LocalName(m.input_type()->full_name()) + " -> " +
                  (m.server_streaming() ? "stream " : "") +
                  LocalName(m.output_type()->full_name()));
    }
  }
  return rows;
}

std::set<std::string> Table() {
  std::set<std::string> rows;
  std::ifstream file("tests/unit/proto/cri-v1-0.36.3.tsv");
  for (std::string line; std::getline(file, line);) {
    while (!line.empty() && line.back() == '\t') line.pop_back();
    rows.insert(line);
  }
  return rows;
}

TEST(CriContractTest, DescriptorEqualsTheTable) {
  const std::set<std::string> table = Table();
  const std::set<std::string> compiled = Compiled();
  ASSERT_EQ(table.size(), 616U);
  for (const std::string& row : table) {
    EXPECT_TRUE(compiled.count(row)) << "missing: " << row;
  }
  for (const std::string& row : compiled) {
    EXPECT_TRUE(table.count(row)) << "not in the table: " << row;
  }
}

}  // namespace
}  // namespace pinion
