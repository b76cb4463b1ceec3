#pragma once
// Operations on the keys of a store that seals what it writes. No key material is in them. Private to store.

#include "store/operation_call.hpp"

namespace db4::store {

OperationReply list_keys(const Call& call);
OperationReply rotate_key(const Call& call);
OperationReply destroy_key(const Call& call);
OperationReply cancel_key(const Call& call);
OperationReply reencrypt(const Call& call);
OperationReply reencrypt_document(const Call& call);

/// Whether the store is encrypted, and by which keys: a part of `stats`.
Json encryption_json(const EncryptionStatus& status);

}  // namespace db4::store
