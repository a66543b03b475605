// "Nothing is silently ignored": docs/cri.md against the contract (every field
// of every request has a row) and against the code (what a row says of a
// pod's or container's field is what becomes of it).

#include "tests/unit/cri/field_docs.h"

#include <gmock/gmock.h>
#include <google/protobuf/descriptor.pb.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <set>
#include <string>

#include "absl/strings/match.h"
#include "cri/api.h"
#include "cri/translate_container.h"
#include "cri/translate_sandbox.h"
#include "tests/unit/cri/field_samples.h"

namespace pinion::cri {
namespace {

namespace pb = google::protobuf;

constexpr char kDocs[] = "docs/cri.md";

std::vector<const pb::FieldDescriptor*> FieldsOf(const pb::Descriptor& m) {
  std::vector<const pb::FieldDescriptor*> fields;
  for (int i = 0; i < m.field_count(); ++i) fields.push_back(m.field(i));
  return fields;
}

// `message` and all that its fields are made of.
void AddReachable(const pb::Descriptor& message,
                  std::set<const pb::Descriptor*>& seen) {
  if (message.options().map_entry() || !seen.insert(&message).second) return;
  for (const pb::FieldDescriptor* field : FieldsOf(message)) {
    if (field->message_type() != nullptr) {
      AddReachable(*field->message_type(), seen);
    }
  }
}

std::set<const pb::Descriptor*> RequestMessages() {
  std::set<const pb::Descriptor*> seen;
  const pb::FileDescriptor& file = *api::VersionRequest::descriptor()->file();
  int rpcs = 0;
  for (int i = 0; i < file.service_count(); ++i) {
    const pb::ServiceDescriptor& service = *file.service(i);
    for (int j = 0; j < service.method_count(); ++j, ++rpcs) {
      AddReachable(*service.method(j)->input_type(), seen);
    }
  }
  EXPECT_EQ(rpcs, 41);
  return seen;
}

std::map<std::string, const FieldSection*> ByMessage(
    const std::vector<FieldSection>& sections) {
  std::map<std::string, const FieldSection*> result;
  for (const FieldSection& section : sections) {
    for (const std::string& message : section.messages) {
      EXPECT_TRUE(result.emplace(message, &section).second)
          << message << " has two sections";
    }
  }
  return result;
}

TEST(FieldDocsTest, EveryFieldOfEveryRequestHasARow) {
  const std::vector<FieldSection> sections = ReadFieldDocs(kDocs);
  const auto by_message = ByMessage(sections);
  const auto reachable = RequestMessages();
  size_t fields = 0;
  for (const pb::Descriptor* message : reachable) {
    const auto section = by_message.find(message->name());
    if (section == by_message.end()) {
      ADD_FAILURE() << message->name() << " is in no section of " << kDocs;
      continue;
    }
    for (const pb::FieldDescriptor* field : FieldsOf(*message)) {
      ++fields;
      EXPECT_TRUE(section->second->rows.count(field->name()))
          << message->name() << "." << field->name() << " has no row";
    }
  }
  EXPECT_EQ(reachable.size(), 82U);
  EXPECT_EQ(fields, 234U);
}

TEST(FieldDocsTest, EveryRowIsOfAFieldAndHasAVerdict) {
  const std::vector<FieldSection> sections = ReadFieldDocs(kDocs);
  for (const FieldSection& section : sections) {
    ASSERT_FALSE(section.messages.empty()) << "a section names no message";
    EXPECT_THAT(section.repeated, testing::IsEmpty()) << section.messages[0];
    std::set<std::string> known;
    for (const std::string& name : section.messages) {
      const pb::Descriptor* message =
          api::VersionRequest::descriptor()->file()->FindMessageTypeByName(
              name);
      ASSERT_NE(message, nullptr) << name << " is no message";
      for (const auto* field : FieldsOf(*message)) known.insert(field->name());
    }
    for (const auto& [field, row] : section.rows) {
      const std::string where = section.messages[0] + "." + field;
      EXPECT_TRUE(known.count(field)) << where << " does not exist";
      EXPECT_THAT(row.verdict, testing::AnyOf("honoured", "recorded",
                                              "no effect", "refused"))
          << where;
      if (row.verdict == "no effect" || row.verdict == "refused") {
        EXPECT_FALSE(row.text.empty()) << where << " gives no reason";
      }
    }
  }
}

// What becomes of one request: an error, or the record it turns into.
struct Result {
  absl::Status status;
  std::string record;
};

template <typename Spec>
Result ToResult(const absl::StatusOr<Spec>& spec) {
  if (!spec.ok()) return {spec.status(), ""};
  return {absl::OkStatus(), spec->ShortDebugString()};
}

template <typename Message>
Message Parse(const std::string& text) {
  Message message;
  EXPECT_TRUE(pb::TextFormat::ParseFromString(text, &message)) << text;
  return message;
}

// The least that is accepted, and `fields`.
Result Translate(const FieldSample& sample, const std::string& fields) {
  if (sample.of == SampleOf::kPod) {
    auto request = Parse<api::RunPodSandboxRequest>(
        "config { metadata { name: 'a' uid: 'b' namespace: 'c' } }");
    request.mutable_config()->MergeFrom(Parse<api::PodSandboxConfig>(fields));
    return ToResult(ToPodSpec(request));
  }
  auto request = Parse<api::CreateContainerRequest>(
      "config { metadata { name: 'a' } image { image: 'b' } }");
  request.mutable_config()->MergeFrom(Parse<api::ContainerConfig>(fields));
  return ToResult(ToContainerSpec(request));
}

void CheckVerdict(const FieldSample& sample, const FieldRow& row) {
  const Result without = Translate(sample, sample.without);
  const Result with = Translate(sample, sample.with);
  ASSERT_TRUE(without.status.ok()) << without.status;
  if (row.verdict == "refused") {
    ASSERT_FALSE(with.status.ok());
    EXPECT_THAT(row.text,
                testing::HasSubstr(absl::StatusCodeToString(
                                       with.status.code()) == "UNIMPLEMENTED"
                                       ? "Unimplemented"
                                       : "InvalidArgument"));
    return;
  }
  ASSERT_TRUE(with.status.ok()) << with.status;
  if (row.verdict == "no effect") {
    EXPECT_EQ(with.record, without.record);
  } else {
    EXPECT_NE(with.record, without.record) << "it is silently ignored";
  }
}

// Messages that are a pod's or container's configuration, field by field.
TEST(FieldDocsTest, TheVerdictsAreTrue) {
  const std::vector<FieldSection> sections = ReadFieldDocs(kDocs);
  const auto by_message = ByMessage(sections);
  std::set<const pb::Descriptor*> messages;
  AddReachable(*api::PodSandboxConfig::descriptor(), messages);
  AddReachable(*api::ContainerConfig::descriptor(), messages);
  std::set<std::string> wanted;
  for (const pb::Descriptor* message : messages) {
    if (absl::StartsWith(message->name(), "Windows")) continue;
    for (const pb::FieldDescriptor* field : FieldsOf(*message)) {
      wanted.insert(message->name() + "." + field->name());
    }
  }
  for (const FieldSample& sample : FieldSamples()) {
    SCOPED_TRACE(sample.field);
    wanted.erase(sample.field);
    const size_t dot = sample.field.find('.');
    const auto section = by_message.find(sample.field.substr(0, dot));
    ASSERT_NE(section, by_message.end());
    const auto row = section->second->rows.find(sample.field.substr(dot + 1));
    ASSERT_NE(row, section->second->rows.end());
    CheckVerdict(sample, row->second);
  }
  EXPECT_THAT(wanted, testing::IsEmpty()) << "fields without a sample";
}

}  // namespace
}  // namespace pinion::cri
