#pragma once
// One operation that is asked for, and replies. Private to store.

#include "store/operation_json.hpp"

#include <db4/operations.hpp>

namespace db4::store {

struct Call {
  TieredStore& store;
  Arguments arguments;
  std::string_view body;
  std::stop_token stop;

  [[nodiscard]] std::string collection() const { return arguments.text("collection"); }
  [[nodiscard]] std::string id() const { return arguments.text("id"); }
};

/// A path in an error's text may be no UTF-8: it must not keep the reply back.
inline std::string text_of(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}
inline OperationReply reply(const Json& json) { return {.json = text_of(json), .body = {}}; }
inline OperationReply not_found() { return reply({{"found", false}}); }
inline Json found(const Call& call) {
  return {{"found", true}, {"collection", call.collection()}, {"id", call.id()}};
}

}  // namespace db4::store
