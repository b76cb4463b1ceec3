#pragma once
// Resealer: brings documents that are stored under another key than the one wanted (or plain, or sealed where
// they are to be plain) into the form in which they would be written now. Version, times and tier stay as
// they are; the row's compare-and-set decides against whoever else changes the document.

#include "catalog/catalog.hpp"
#include "cold/cold_state.hpp"

#include <db4/clock.hpp>

#include <cstdint>
#include <exception>
#include <span>
#include <string>
#include <vector>

namespace db4::tiering {

enum class ResealOutcome : std::uint8_t {
  done,
  changed,  ///< somebody changed the document meanwhile: to be looked at again
  failed,   ///< an error; the document is as it was
};

struct ResealOrder {
  std::string key;
  catalog::Row row;  ///< as it was read; the compare of the compare-and-set
  ResealOutcome outcome = ResealOutcome::changed;
  std::exception_ptr failure = {};  ///< with ResealOutcome::failed
};

/// Of a document whose key nobody has: it can never be resealed, or only once somebody takes the key's
/// destruction back.
bool is_locked(const std::exception_ptr& failure);
/// Of a failure that every other document would have too: then the orders that follow are left `changed`.
bool is_for_all(const std::exception_ptr& failure);

/// Whether a copy of the document is not under this key (0: plain).
bool needs_resealing(const catalog::Row& row, sealing::KeyNumber wanted) noexcept;

/// Thread-safe.
class Resealer {
 public:
  Resealer(catalog::Catalog& catalog, ColdStorage::State& cold, std::shared_ptr<Clock> clock) noexcept
      : catalog_(catalog), cold_(cold), clock_(std::move(clock)) {}

  /// Small records of cold go into segments together. Throws cancelled; what else fails is in the orders.
  void reseal(std::span<ResealOrder> orders, sealing::KeyNumber wanted, const CallOptions& call);

 private:
  class Packing;
  void reseal_alone(ResealOrder& order, catalog::Row after, const detail::BlockRef& body,
                    const ColdStorage::State::Record& record, const CallOptions& call);
  void commit_alone(ResealOrder& order, catalog::Row after, const detail::BlockRef& body);
  bool keep_body_alone(ResealOrder& order, sealing::KeyNumber wanted);
  [[nodiscard]] bool changed_since(const ResealOrder& order) const;

  catalog::Catalog& catalog_;
  ColdStorage::State& cold_;
  const std::shared_ptr<Clock> clock_;
};

}  // namespace db4::tiering
