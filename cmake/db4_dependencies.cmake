# Everything db4 links, found once. Debian's packages are enough; see scripts/packages.sh for their names.
find_package(Threads REQUIRED)
find_package(nlohmann_json 3.11 REQUIRED)
find_package(PkgConfig REQUIRED)
find_package(RocksDB REQUIRED)
pkg_check_modules(DB4_SQLITE REQUIRED IMPORTED_TARGET sqlite3>=3.40)
pkg_check_modules(DB4_ZSTD REQUIRED IMPORTED_TARGET libzstd)
pkg_check_modules(DB4_DEFLATE REQUIRED IMPORTED_TARGET libdeflate)
pkg_check_modules(DB4_CRYPTO REQUIRED IMPORTED_TARGET libcrypto)
find_package(simdjson REQUIRED)

set(DB4_PRIVATE_DEPENDENCIES RocksDB::rocksdb-shared PkgConfig::DB4_SQLITE PkgConfig::DB4_ZSTD
                             PkgConfig::DB4_DEFLATE PkgConfig::DB4_CRYPTO simdjson::simdjson)
