#pragma once
// Operations on the cold tier: large documents in pieces, uploads, garbage. Private to store.

#include "store/operation_call.hpp"

namespace db4::store {

OperationReply read_piece(const Call& call);
OperationReply list_uploads(const Call& call);
OperationReply abort_upload(const Call& call);
OperationReply clean_uploads(const Call& call);
OperationReply collect_garbage(const Call& call);
OperationReply compact(const Call& call);

}  // namespace db4::store
