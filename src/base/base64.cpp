#include "base/base64.hpp"

#include <openssl/evp.h>

namespace db4 {

std::string to_base64(ByteView data) {
  std::string out((data.size() + 2) / 3 * 4 + 1, '\0');  // and the NUL that OpenSSL writes
  const int size =
      ::EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                        reinterpret_cast<const unsigned char*>(data.data()), static_cast<int>(data.size()));
  out.resize(static_cast<std::size_t>(size));
  return out;
}

}  // namespace db4
