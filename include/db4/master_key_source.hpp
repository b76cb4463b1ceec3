#pragma once
// One text that says where a master key is: for a setting or an option of a program.

#include <db4/master_key.hpp>

#include <string>

namespace db4 {

/// The master key that `source` names. The text itself is no secret, and must not hold one:
///
/// | source | the key is |
/// |---|---|
/// | `file:PATH` | 32 bytes in base64 in a file (master_key_from_file) |
/// | `env:NAME` | such a text in an environment variable (master_key_from_environment) |
/// | `fd:NUMBER` | such a text, read from an open descriptor up to its end |
/// | `stdin` | such a text, read from standard input |
/// | `passphrase-file:PATH` | a passphrase in a file, under the same rules of who may read it |
/// | `passphrase-env:NAME` | a passphrase in an environment variable |
/// | `passphrase-fd:NUMBER` | a passphrase, read from an open descriptor up to its end |
/// | `vault:KEY`, `vault:MOUNT/KEY` | kept by Vault (make_vault_key_service); MOUNT is else `transit` |
///
/// For Vault the rest is in the environment, as its own client has it: VAULT_ADDR (https://127.0.0.1:8200),
/// VAULT_TOKEN or VAULT_TOKEN_FILE (the path of a file that holds it), VAULT_NAMESPACE, VAULT_CACERT. It is
/// asked when the key ring is opened, not here.
///
/// One line break at the end of a passphrase is left out; all else belongs to it. A new key ring under one
/// gets the default PassphraseCost. Each call reads anew: a descriptor has nothing left for a second one.
///
/// Throws invalid_argument for another text, and for one that holds something that looks like a key itself;
/// neither is repeated in the message. Else what the functions of <db4/master_key.hpp> throw: key_unavailable
/// where there is nothing, permission_denied where others may read the file, invalid_argument where something
/// else is in there; and what make_vault_key_service throws.
DB4_API MasterKey master_key_from_source(const std::string& source);

}  // namespace db4
