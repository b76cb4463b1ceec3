# Everything db4 links, found once. Debian's packages are enough; see scripts/packages.sh for their names.
#
# The targets are seen in the whole project: where db4 is part of another one, that one links db4 from its own
# folders. What it has found or built itself (nlohmann_json, say) is taken as it is.
if(NOT TARGET Threads::Threads)
  find_package(Threads REQUIRED GLOBAL)
endif()
if(NOT TARGET nlohmann_json::nlohmann_json)
  find_package(nlohmann_json 3.11 REQUIRED GLOBAL)
endif()

# What only db4's own sources include, by pkg-config: the same lines serve the build, the installed
# find_package(db4) files and db4.pc. (RocksDB's own CMake files ask for the development files of all that
# RocksDB links.)
set(DB4_PKG_MODULES "rocksdb >= 7.8" "sqlite3 >= 3.40" "libzstd >= 1.5" "libdeflate >= 1.14" "openssl >= 3.0"
                    "simdjson >= 3.0" "libcurl >= 7.88" "pugixml >= 1.12" "hiredis >= 0.14" "libpq >= 14.0"
                    "libsodium >= 1.0.18")

find_package(PkgConfig REQUIRED)
set(DB4_PRIVATE_DEPENDENCIES "")
foreach(module IN LISTS DB4_PKG_MODULES)
  string(REGEX MATCH "^[^ ]+" name "${module}")
  string(REPLACE " " "" condition "${module}")
  pkg_check_modules(DB4_${name} REQUIRED QUIET IMPORTED_TARGET GLOBAL "${condition}")
  list(APPEND DB4_PRIVATE_DEPENDENCIES PkgConfig::DB4_${name})
endforeach()
