#include "os/sqlite.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/status_macros.h"
#include "os/error.h"
#include "os/unique_fd.h"

namespace pinion::os {
namespace {

constexpr int kBusyTimeoutMs = 10'000;

// SQLite moves the log into the database after 1000 pages of 4 KiB, each with
// a header of 24 bytes, and then begins the log again; a transaction may go
// beyond that by its own size.
constexpr off_t kReservedLogBytes = (4 << 20) + (256 << 10);

absl::StatusCode CodeOf(int code) {
  switch (code & 0xff) {
    case SQLITE_FULL:
      return absl::StatusCode::kResourceExhausted;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return absl::StatusCode::kDataLoss;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return absl::StatusCode::kUnavailable;
    case SQLITE_CONSTRAINT:
      return absl::StatusCode::kAlreadyExists;
    case SQLITE_PERM:
    case SQLITE_READONLY:
    case SQLITE_CANTOPEN:
      return absl::StatusCode::kPermissionDenied;
    default:
      return absl::StatusCode::kInternal;
  }
}

int Bind(sqlite3_stmt* statement, int index, const SqlValue& value) {
  if (const auto* number = std::get_if<int64_t>(&value)) {
    return sqlite3_bind_int64(statement, index, *number);
  }
  if (const auto* text = std::get_if<std::string_view>(&value)) {
    return sqlite3_bind_text(statement, index, text->data(),
                             static_cast<int>(text->size()), SQLITE_STATIC);
  }
  const std::string_view bytes = std::get<SqlBlob>(value).bytes;
  return sqlite3_bind_blob(statement, index, bytes.data(),
                           static_cast<int>(bytes.size()), SQLITE_STATIC);
}

// Blocks for the log, allocated beyond its end, where SQLite does not see
// them. As good as it gets: on a disk that is full already, or where
// fallocate(2) means nothing, there is none.
void ReserveLog(const std::string& path) {
  const UniqueFd log(
      open(absl::StrCat(path, "-wal").c_str(), O_RDWR | O_CLOEXEC));
  if (!log.valid()) return;
  (void)fallocate(log.get(), FALLOC_FL_KEEP_SIZE, 0, kReservedLogBytes);
}

}  // namespace

int64_t SqlRow::Int(int column) const {
  return sqlite3_column_int64(statement_, column);
}

std::string SqlRow::Text(int column) const {
  const void* data = sqlite3_column_blob(statement_, column);
  const int size = sqlite3_column_bytes(statement_, column);
  if (data == nullptr) return "";
  return std::string(static_cast<const char*>(data), static_cast<size_t>(size));
}

Database::Database(sqlite3* db, std::string path)
    : db_(db), path_(std::move(path)) {}

absl::StatusOr<std::unique_ptr<Database>> Database::Open(
    const std::string& path, Sync sync) {
  sqlite3* raw = nullptr;
  const int code = sqlite3_open_v2(
      path.c_str(), &raw,
      SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX,
      nullptr);
  if (code != SQLITE_OK) {
    const std::string message = sqlite3_errstr(code);
    sqlite3_close(raw);
    return absl::Status(CodeOf(code),
                        absl::StrCat("sqlite open ", path, ": ", message));
  }
  auto db = std::unique_ptr<Database>(new Database(raw, path));
  sqlite3_extended_result_codes(raw, 1);
  sqlite3_busy_timeout(raw, kBusyTimeoutMs);
  // Otherwise the last connection to close removes the log, with the blocks
  // reserved for it.
  int keep = 1;
  sqlite3_file_control(raw, "main", SQLITE_FCNTL_PERSIST_WAL, &keep);
  PINION_RETURN_IF_ERROR(
      db->Query("PRAGMA journal_mode=WAL", {}, [](const SqlRow&) {}));
  PINION_RETURN_IF_ERROR(db->Execute(sync == Sync::kFull
                                         ? "PRAGMA synchronous=FULL"
                                         : "PRAGMA synchronous=NORMAL"));
  // Small working sets; the default of 2 MiB a connection is memory that
  // nothing here uses.
  PINION_RETURN_IF_ERROR(db->Execute("PRAGMA cache_size=-512"));
  // Opens the log.
  PINION_RETURN_IF_ERROR(db->Query("SELECT COUNT(*) FROM sqlite_schema", {},
                                   [](const SqlRow&) {}));
  ReserveLog(path);
  return db;
}

absl::Status Database::Check(const std::string& path) {
  if (access(path.c_str(), F_OK) != 0 && errno == ENOENT) {
    return absl::OkStatus();
  }
  PINION_ASSIGN_OR_RETURN(auto db, Open(path, Sync::kNormal));
  std::string verdict;
  PINION_RETURN_IF_ERROR(
      db->Query("PRAGMA quick_check(1)", {},
                [&verdict](const SqlRow& row) { verdict = row.Text(0); }));
  if (verdict != "ok") {
    return absl::DataLossError(
        absl::StrCat("sqlite check ", path, ": ", verdict));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> Database::SetAside(const std::string& path) {
  const std::string kept =
      absl::StrCat(path, ".corrupt-", absl::GetCurrentTimeNanos());
  // The log first: it must never be taken for the next database's.
  const std::string log = absl::StrCat(path, "-wal");
  if (rename(log.c_str(), absl::StrCat(kept, "-wal").c_str()) != 0 &&
      errno != ENOENT) {
    return ErrnoStatus(absl::StrCat("rename ", log));
  }
  const std::string index = absl::StrCat(path, "-shm");
  if (unlink(index.c_str()) != 0 && errno != ENOENT) {
    return ErrnoStatus(absl::StrCat("unlink ", index));
  }
  if (rename(path.c_str(), kept.c_str()) != 0) {
    return ErrnoStatus(absl::StrCat("rename ", path));
  }
  return kept;
}

Database::~Database() {
  const absl::MutexLock lock(&mutex_);
  for (auto& [sql, statement] : statements_) sqlite3_finalize(statement);
  sqlite3_close(db_);
}

absl::Status Database::Error(int code, std::string_view what) const {
  return absl::Status(CodeOf(code),
                      absl::StrCat("sqlite ", std::string(what), " on ", path_,
                                   ": ", sqlite3_errmsg(db_)));
}

absl::Status Database::Run(std::string_view sql, const SqlValue* values,
                           size_t count,
                           const std::function<void(const SqlRow&)>* row) {
  auto found = statements_.find(sql);
  if (found == statements_.end()) {
    sqlite3_stmt* made = nullptr;
    const int code =
        sqlite3_prepare_v3(db_, sql.data(), static_cast<int>(sql.size()),
                           SQLITE_PREPARE_PERSISTENT, &made, nullptr);
    if (code != SQLITE_OK) return Error(code, sql);
    found = statements_.emplace(std::string(sql), made).first;
  }
  sqlite3_stmt* statement = found->second;
  int code = SQLITE_OK;
  for (size_t i = 0; i < count && code == SQLITE_OK; ++i) {
    code = Bind(statement, static_cast<int>(i) + 1, values[i]);
  }
  while (code == SQLITE_OK || code == SQLITE_ROW) {
    code = sqlite3_step(statement);
    if (code == SQLITE_ROW && row != nullptr) (*row)(SqlRow(statement));
  }
  absl::Status status;
  if (code != SQLITE_DONE) status = Error(code, sql);
  sqlite3_reset(statement);
  sqlite3_clear_bindings(statement);
  return status;
}

absl::Status Database::Execute(std::string_view sql,
                               std::initializer_list<SqlValue> values) {
  const absl::MutexLock lock(&mutex_);
  return Run(sql, values.begin(), values.size(), nullptr);
}

absl::Status Database::Query(std::string_view sql,
                             std::initializer_list<SqlValue> values,
                             const std::function<void(const SqlRow&)>& row) {
  const absl::MutexLock lock(&mutex_);
  return Run(sql, values.begin(), values.size(), &row);
}

absl::Status Database::InTransaction(
    const std::function<absl::Status(Transaction&)>& body) {
  const absl::MutexLock lock(&mutex_);
  PINION_RETURN_IF_ERROR(Run("BEGIN IMMEDIATE", nullptr, 0, nullptr));
  Transaction transaction(this);
  absl::Status status = body(transaction);
  if (status.ok()) status = Run("COMMIT", nullptr, 0, nullptr);
  if (!status.ok()) {
    // A failed COMMIT or a full disk may already have rolled back; then this
    // fails, and there is nothing left to undo.
    (void)Run("ROLLBACK", nullptr, 0, nullptr);
  }
  return status;
}

absl::Status Database::Transaction::Execute(
    std::string_view sql, std::initializer_list<SqlValue> values) {
  db_->mutex_.AssertHeld();
  return db_->Run(sql, values.begin(), values.size(), nullptr);
}

absl::Status Database::Transaction::Query(
    std::string_view sql, std::initializer_list<SqlValue> values,
    const std::function<void(const SqlRow&)>& row) {
  db_->mutex_.AssertHeld();
  return db_->Run(sql, values.begin(), values.size(), &row);
}

}  // namespace pinion::os
