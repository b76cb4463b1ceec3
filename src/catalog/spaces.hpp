#pragma once
// catalog: the truth about every document, written once over any engine: rows, bodies of hot documents, the
// due index, access figures, changes, intents, garbage, segments, counters. Includes base, kv, codec. The
// byte tables are in docs/formats/row.md.

#include "kv/engine.hpp"

#include <vector>

namespace db4::catalog {

/// Spaces of the engine. The numbers are on disk: never renumber.
enum Space : std::uint8_t {
  kMeta = 1,      ///< format, store id, epoch, version floor, watermark
  kRows = 2,      ///< document key -> row
  kBodies = 3,    ///< document key -> record of a hot body too large for the row
  kDue = 4,       ///< due time, document key -> nothing
  kAccess = 5,    ///< document key -> access figures
  kChanges = 6,   ///< node, epoch, sequence -> change
  kIntents = 7,   ///< object name -> deadline: announced, not yet named by a row
  kGarbage = 8,   ///< due time, object name -> what to do with it
  kSegments = 9,  ///< object name -> facts of a segment
  kCounters = 10,
  kUploads = 11,       ///< upload id -> session
  kKeys = 12,          ///< the key ring of an encrypted store
  kHistory = 13,       ///< document key -> its last moves
  kPins = 14,          ///< scope, collection, id or prefix -> the tier it is held in
  kSamples = 15,       ///< time -> what the store's figures were
  kUploadParts = 16,   ///< upload id, number of a part -> its receipt
  kSparse = 17,        ///< object name of a segment worth rewriting -> nothing
  kDictionaries = 18,  ///< id -> a trained dictionary; collection -> the id that its new records use
};

inline std::vector<kv::SpaceSpec> catalog_spaces() {
  using enum kv::SpaceKind;
  return {{kMeta, "meta", keys},         {kRows, "rows", keys},
          {kBodies, "bodies", bodies},   {kDue, "due", keys},
          {kAccess, "access", keys},     {kChanges, "changes", keys},
          {kIntents, "intents", keys},   {kGarbage, "garbage", keys},
          {kSegments, "segments", keys}, {kCounters, "counters", counters},
          {kKeys, "keys", bodies},       {kHistory, "history", keys},
          {kPins, "pins", keys},         {kSamples, "samples", bodies},
          {kUploads, "uploads", keys},   {kUploadParts, "upload_parts", keys},
          {kSparse, "sparse", keys},     {kDictionaries, "dictionaries", bodies}};
}

}  // namespace db4::catalog
