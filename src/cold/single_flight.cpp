#include "cold/single_flight.hpp"

namespace db4::cold {

Error error_of_flight(const std::exception_ptr& failure) {
  try {
    std::rethrow_exception(failure);
  } catch (const Error& error) {
    return {error.code(), error.problem(), error.advice()};
  } catch (const std::exception& error) {
    return {ErrorCode::internal, error.what(), "report this"};
  }
}

}  // namespace db4::cold
