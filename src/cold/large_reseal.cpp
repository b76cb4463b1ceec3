// Large documents under another key: read from their old object and sent in parts as a new one.
#include "cold/cold_state.hpp"

namespace db4 {

catalog::ColdPlace ColdStorage::State::reseal_large(std::string_view /*key*/, const catalog::Row& /*row*/,
                                                    const CallOptions& /*call*/) {
  throw Error(ErrorCode::unsupported, "large documents are not sealed yet", "remove it and upload it again");
}

}  // namespace db4
