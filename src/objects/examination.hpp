#pragma once
// Trying an object store out, check by check. <db4/doctor.hpp> says what for.

#include <db4/doctor.hpp>

#include <functional>
#include <set>

namespace db4::objects {

/// One examination of one store. One thread.
class Examination {
 public:
  Examination(ObjectStore& store, const DoctorOptions& options, std::shared_ptr<Clock> clock,
              RandomSource& random);
  DoctorReport run();

 private:
  /// What a check found.
  struct Outcome {
    Soundness verdict;
    std::string found;
    std::string meaning;
  };
  using Check = Outcome (Examination::*)();

  /// Runs a check and files what it gives or throws; whether the store is sound there.
  bool file(const char* name, Check check);
  void skip(const char* name, const std::string& why);
  void clean_up();

  [[nodiscard]] CallOptions call() const { return {.deadline = MonotonicTime::max(), .stop = options_.stop}; }
  /// A name of this examination, to be removed at its end.
  std::string name(std::string_view what);
  PutResult put(const std::string& name, std::string_view body, const PutOptions& condition = {});
  /// Bytes that differ everywhere, and from examination to examination.
  [[nodiscard]] std::string bytes(std::size_t size);
  [[nodiscard]] bool holds(const std::string& name, std::string_view body);
  /// Whether the put is refused for its condition.
  [[nodiscard]] bool refuses(const std::string& name, const PutOptions& condition);

  Outcome write_and_read();
  Outcome replace();
  Outcome ranges();
  Outcome missing();
  Outcome strange_names();
  Outcome only_if_absent();
  Outcome if_match();
  Outcome list();
  Outcome list_pages();
  Outcome remove();
  Outcome proof();
  Outcome time();
  // examination_uploads.cpp
  void try_uploads();
  /// Of the parts that are sent for a look.
  [[nodiscard]] std::uint64_t part_size() const;
  Outcome parts();
  Outcome part_sizes();
  Outcome wrong_receipts();
  Outcome pending_uploads();

  ObjectStore& store_;
  const DoctorOptions& options_;
  std::shared_ptr<Clock> clock_;
  RandomSource& random_;
  std::string prefix_;
  std::set<std::string> made_;
  struct Upload {
    std::string name;
    std::string id;
  };
  std::vector<Upload> uploads_;
  DoctorReport report_;
};

}  // namespace db4::objects
