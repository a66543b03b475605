#include "runtime/records.h"

#include <utility>

#include "absl/time/time.h"
#include "base/log.h"
#include "base/status_macros.h"

namespace pinion::runtime {
namespace {

using os::SqlBlob;
using os::SqlRow;

constexpr std::string_view kSchema[] = {
    "CREATE TABLE IF NOT EXISTS runtime_pods ("
    "id TEXT PRIMARY KEY, revision INTEGER NOT NULL, record BLOB NOT NULL)"
    " WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS runtime_containers ("
    "id TEXT PRIMARY KEY, revision INTEGER NOT NULL, record BLOB NOT NULL)"
    " WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS runtime_quarantine ("
    "id TEXT, origin TEXT, record BLOB)",
};

// Parses every row of a table; what is damaged is moved aside.
template <typename Record>
absl::Status LoadTable(os::Database& db, const std::string& table,
                       std::vector<Record>* records,
                       std::vector<std::string>* damaged) {
  std::vector<std::string> bad;
  PINION_RETURN_IF_ERROR(
      db.Query("SELECT id, record FROM " + table, {}, [&](const SqlRow& row) {
        Record record;
        const std::string id = row.Text(0);
        if (record.ParseFromString(row.Text(1)) && record.id() == id) {
          records->push_back(std::move(record));
        } else {
          bad.push_back(id);
        }
      }));
  for (const std::string& id : bad) {
    PINION_RETURN_IF_ERROR(db.InTransaction([&](auto& t) {
      PINION_RETURN_IF_ERROR(
          t.Execute("INSERT INTO runtime_quarantine SELECT id, '" + table +
                        "', record FROM " + table + " WHERE id = ?",
                    {std::string_view(id)}));
      return t.Execute("DELETE FROM " + table + " WHERE id = ?",
                       {std::string_view(id)});
    }));
    damaged->push_back(table + "/" + id);
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<Records>> Records::Open(
    const std::string& path) {
  PINION_ASSIGN_OR_RETURN(
      auto db, os::Database::Open(path, os::Database::Sync::kNormal));
  for (const std::string_view statement : kSchema) {
    PINION_RETURN_IF_ERROR(db->Execute(statement));
  }
  auto records = std::unique_ptr<Records>(new Records(std::move(db)));
  records->writer_ = std::thread([raw = records.get()] { raw->WriteLoop(); });
  return records;
}

Records::Records(std::unique_ptr<os::Database> db) : db_(std::move(db)) {}

Records::~Records() {
  {
    const absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  writer_.join();
}

absl::Status Records::Load(std::vector<state::PodRecord>* pods,
                           std::vector<state::ContainerRecord>* containers,
                           std::vector<std::string>* damaged) {
  PINION_RETURN_IF_ERROR(LoadTable(*db_, "runtime_pods", pods, damaged));
  return LoadTable(*db_, "runtime_containers", containers, damaged);
}

absl::Status Records::Save(const state::PodRecord& pod) {
  const std::string bytes = pod.SerializeAsString();
  return Annotate(
      db_->Execute("INSERT INTO runtime_pods VALUES (?1, ?2, ?3)"
                   " ON CONFLICT(id) DO UPDATE SET revision = ?2, record = ?3"
                   " WHERE ?2 > revision",
                   {std::string_view(pod.id()),
                    static_cast<int64_t>(pod.revision()), SqlBlob{bytes}}),
      "record pod " + pod.id());
}

absl::Status Records::Save(const state::ContainerRecord& container) {
  const std::string bytes = container.SerializeAsString();
  return Annotate(
      db_->Execute(
          "INSERT INTO runtime_containers VALUES (?1, ?2, ?3)"
          " ON CONFLICT(id) DO UPDATE SET revision = ?2, record = ?3"
          " WHERE ?2 > revision",
          {std::string_view(container.id()),
           static_cast<int64_t>(container.revision()), SqlBlob{bytes}}),
      "record container " + container.id());
}

void Records::SaveLater(
    std::shared_ptr<const state::ContainerRecord> container) {
  const absl::MutexLock lock(&mutex_);
  auto& slot = queue_[container->id()];
  if (slot == nullptr || slot->revision() < container->revision()) {
    slot = std::move(container);
  }
}

absl::Status Records::WriteBatch(const Batch& batch) {
  return db_->InTransaction([&batch](auto& t) {
    for (const auto& [id, record] : batch) {
      const std::string bytes = record->SerializeAsString();
      PINION_RETURN_IF_ERROR(t.Execute(
          "UPDATE runtime_containers SET revision = ?2, record = ?3"
          " WHERE id = ?1 AND ?2 > revision",
          {std::string_view(id), static_cast<int64_t>(record->revision()),
           SqlBlob{bytes}}));
    }
    return absl::OkStatus();
  });
}

void Records::WriteLoop() {
  absl::Status last;
  while (true) {
    Batch batch;
    bool stopping = false;
    {
      const absl::MutexLock lock(&mutex_);
      const auto work = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
        return stopping_ || !queue_.empty();
      };
      mutex_.Await(absl::Condition(&work));
      batch.swap(queue_);
      stopping = stopping_;
    }
    if (batch.empty() && stopping) return;
    const absl::Status status = WriteBatch(batch);
    if (!status.ok() && status != last) {
      Log(LogLevel::kError, "container records not written",
          {{"error", status.ToString()}});
    }
    last = status;
    if (status.ok() || stopping) continue;
    const absl::MutexLock lock(&mutex_);
    mutex_.AwaitWithTimeout(absl::Condition(&stopping_),
                            absl::FromChrono(kTryAgain));
    // What came since is newer.
    queue_.merge(batch);
  }
}

absl::Status Records::DeletePod(const std::string& id) {
  return db_->Execute("DELETE FROM runtime_pods WHERE id = ?",
                      {std::string_view(id)});
}

absl::Status Records::DeleteContainer(const std::string& id) {
  return db_->Execute("DELETE FROM runtime_containers WHERE id = ?",
                      {std::string_view(id)});
}

}  // namespace pinion::runtime
