#include "allocation_watch.hpp"

#include <algorithm>
#include <cstdlib>
#include <new>

namespace {

thread_local std::size_t largest_allocation = 0;

void* try_allocate(std::size_t size) noexcept {
  largest_allocation = std::max(largest_allocation, size);
  return std::malloc(std::max<std::size_t>(size, 1));
}

void* allocate(std::size_t size) {
  if (void* memory = try_allocate(size)) return memory;
  throw std::bad_alloc();
}

}  // namespace

void* operator new(std::size_t size) { return allocate(size); }
void* operator new[](std::size_t size) { return allocate(size); }
// Those that do not throw too, since the deletes below free what they gave.
void* operator new(std::size_t size, const std::nothrow_t& /*tag*/) noexcept { return try_allocate(size); }
void* operator new[](std::size_t size, const std::nothrow_t& /*tag*/) noexcept { return try_allocate(size); }
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t /*size*/) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t /*size*/) noexcept { std::free(memory); }

namespace db4::testing {

AllocationWatch::AllocationWatch() noexcept { largest_allocation = 0; }
std::size_t AllocationWatch::largest() const noexcept { return largest_allocation; }

}  // namespace db4::testing
