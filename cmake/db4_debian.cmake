# Three Debian packages, by cpack: libdb4-storage0.1, libdb4-storage-dev, db4-tools. scripts/package.sh calls it.
if(NOT PROJECT_IS_TOP_LEVEL OR NOT DB4_INSTALL OR NOT DB4_BUILD_CLI OR NOT BUILD_SHARED_LIBS)
  message(FATAL_ERROR "DB4_DEBIAN_PACKAGES needs db4 alone, shared, with its command line: use the preset 'package'")
endif()
if(NOT CMAKE_INSTALL_PREFIX STREQUAL "/usr")
  message(FATAL_ERROR "DB4_DEBIAN_PACKAGES needs CMAKE_INSTALL_PREFIX=/usr, it is '${CMAKE_INSTALL_PREFIX}'")
endif()

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME db4-storage)
set(CPACK_PACKAGE_VERSION "${PROJECT_VERSION}")
set(CPACK_PACKAGE_CONTACT "db4 storage developers <db4@example.invalid>")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_PACKAGE_DIRECTORY "${PROJECT_BINARY_DIR}/packages")
set(CPACK_STRIP_FILES ON)
set(CPACK_VERBATIM_VARIABLES ON)
# Whatever the umask of whoever builds.
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE
                                                WORLD_READ WORLD_EXECUTE)

set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_COMPONENTS_ALL db4_library db4_development db4_tools)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_RELEASE 1)
set(CPACK_DEBIAN_PACKAGE_SOURCE db4-storage)
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS_PRIVATE_DIRS "${PROJECT_BINARY_DIR}")

set(library "libdb4-storage${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR}")
set(this_library "${library} (= ${PROJECT_VERSION}-${CPACK_DEBIAN_PACKAGE_RELEASE})")
# The first line of each description is its summary, so there is none for all.
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "")
set(about "db4 storage keeps documents in three tiers and moves each by how it is
used: hot in memory over RocksDB or SQLite, warm in a cache, cold as objects
in a folder.
")

set(CPACK_DEBIAN_DB4_LIBRARY_PACKAGE_NAME "${library}")
set(CPACK_DEBIAN_DB4_LIBRARY_PACKAGE_SECTION libs)
set(CPACK_DEBIAN_DB4_LIBRARY_PACKAGE_SHLIBDEPS ON)
# Whoever links the library needs exactly this release: there is no ABI promise before 1.0.
file(WRITE "${PROJECT_BINARY_DIR}/debian/shlibs"
     "libdb4-storage ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR} ${this_library}\n")
file(WRITE "${PROJECT_BINARY_DIR}/debian/triggers" "activate-noawait ldconfig\n")
set(CPACK_DEBIAN_DB4_LIBRARY_PACKAGE_CONTROL_EXTRA "${PROJECT_BINARY_DIR}/debian/shlibs"
                                                   "${PROJECT_BINARY_DIR}/debian/triggers")
set(CPACK_DEBIAN_DB4_LIBRARY_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_COMPONENT_DB4_LIBRARY_DESCRIPTION "documents in three tiers, moved by how they are used
${about}
This package holds the shared library.")

set(CPACK_DEBIAN_DB4_DEVELOPMENT_PACKAGE_NAME libdb4-storage-dev)
set(CPACK_DEBIAN_DB4_DEVELOPMENT_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_DB4_DEVELOPMENT_PACKAGE_DEPENDS "${this_library}, nlohmann-json3-dev (>= 3.11)")
set(CPACK_COMPONENT_DB4_DEVELOPMENT_DESCRIPTION "documents in three tiers (development files)
${about}
This package holds the headers, and the files for CMake and pkg-config.")

set(CPACK_DEBIAN_DB4_TOOLS_PACKAGE_NAME db4-tools)
set(CPACK_DEBIAN_DB4_TOOLS_PACKAGE_SECTION database)
set(CPACK_DEBIAN_DB4_TOOLS_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_DB4_TOOLS_PACKAGE_DEPENDS "${this_library}")
set(CPACK_COMPONENT_DB4_TOOLS_DESCRIPTION "documents in three tiers (command line)
${about}
This package holds the db4 command.")

# Each package says who may do what with it, and what changed.
find_program(DB4_GZIP gzip REQUIRED)
set(changelog "${PROJECT_BINARY_DIR}/debian/changelog.Debian.gz")
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/packaging/debian/changelog")
execute_process(COMMAND "${DB4_GZIP}" -9nc "${PROJECT_SOURCE_DIR}/packaging/debian/changelog"
                OUTPUT_FILE "${changelog}" COMMAND_ERROR_IS_FATAL ANY)
foreach(pair "db4_library:${library}" "db4_development:libdb4-storage-dev" "db4_tools:db4-tools")
  string(REPLACE ":" ";" pair "${pair}")
  list(GET pair 0 component)
  list(GET pair 1 package)
  install(FILES "${PROJECT_SOURCE_DIR}/packaging/debian/copyright" "${changelog}"
          DESTINATION "${CMAKE_INSTALL_DATAROOTDIR}/doc/${package}" COMPONENT ${component})
endforeach()

include(CPack)
