#pragma once
// All of db4 storage: `#include <db4/storage.hpp>`, link db4::storage.

#include <db4/access_tracker.hpp>
#include <db4/clock.hpp>
#include <db4/cold_storage.hpp>
#include <db4/config.hpp>
#include <db4/document.hpp>
#include <db4/error.hpp>
#include <db4/hot_storage.hpp>
#include <db4/json_check.hpp>
#include <db4/limits.hpp>
#include <db4/literals.hpp>
#include <db4/object_store.hpp>
#include <db4/operations.hpp>
#include <db4/pin.hpp>
#include <db4/random.hpp>
#include <db4/stats.hpp>
#include <db4/tier.hpp>
#include <db4/tiered_store.hpp>
#include <db4/tiering.hpp>
#include <db4/types.hpp>
#include <db4/version.hpp>
#include <db4/warm_cache.hpp>
#include <db4/warm_storage.hpp>
