# What `db4 --version` prints is what this build is.
#
#     cmake -DDB4=PROGRAM -DVERSION=0.1.0 -DBUILD_TYPE=Release -DSHARED=OFF -P tests/cli/version.cmake
cmake_minimum_required(VERSION 3.25)

function(expect what got wanted)
  if(NOT "${got}" STREQUAL "${wanted}")
    message(FATAL_ERROR "${what} is '${got}', not '${wanted}'")
  endif()
endfunction()

execute_process(COMMAND "${DB4}" --version OUTPUT_VARIABLE text COMMAND_ERROR_IS_FATAL ANY)
string(REGEX MATCH "^[^\n]*" first "${text}")
expect("the first line" "${first}" "db4 ${VERSION}")
foreach(label build sanitizers hot warm cold compression rocksdb sqlite zstd libdeflate simdjson openssl curl pugixml
        hiredis libpq libsodium crc32c)
  if(NOT text MATCHES "\n  ${label} +[^ \n]")
    message(FATAL_ERROR "db4 --version says nothing of ${label}: ${text}")
  endif()
endforeach()

# Whichever flag comes first.
foreach(flags "--version;--json" "--json;--version")
  execute_process(COMMAND "${DB4}" ${flags} OUTPUT_VARIABLE json COMMAND_ERROR_IS_FATAL ANY)
  string(JSON version GET "${json}" version)
  expect("version" "${version}" "${VERSION}")
  string(JSON build_type GET "${json}" build_type)
  expect("build_type" "${build_type}" "${BUILD_TYPE}")
  string(JSON shared GET "${json}" shared)
  if((shared AND NOT SHARED) OR (SHARED AND NOT shared))
    message(FATAL_ERROR "shared is '${shared}', but the library is built with BUILD_SHARED_LIBS='${SHARED}'")
  endif()
  string(JSON libraries LENGTH "${json}" libraries)
  if(libraries LESS 6)
    message(FATAL_ERROR "only ${libraries} libraries are named: ${json}")
  endif()
endforeach()
