# What `cmake --install` lays down, in three components: db4_library (the shared library), db4_development (headers,
# static library, find_package(db4) files, db4.pc) and db4_tools (the command line). All of it may be moved to another
# prefix as a whole.
install(TARGETS db4_storage EXPORT db4-targets
        ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}" COMPONENT db4_development
        LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}" COMPONENT db4_library NAMELINK_COMPONENT db4_development)
install(DIRECTORY "${PROJECT_SOURCE_DIR}/include/db4" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}"
        COMPONENT db4_development FILES_MATCHING PATTERN "*.hpp")
if(DB4_BUILD_CLI)
  install(TARGETS db4_cli RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}" COMPONENT db4_tools)
  # Made by the build where it makes them: manual pages, and completions by the names the shells look for.
  install(DIRECTORY "${PROJECT_BINARY_DIR}/man/" DESTINATION "${CMAKE_INSTALL_MANDIR}/man1" COMPONENT db4_tools OPTIONAL
          FILES_MATCHING PATTERN "*.1" PATTERN "*.1.gz")
  foreach(completion "db4.bash:bash-completion/completions:db4" "_db4:zsh/vendor-completions:_db4"
                     "db4.fish:fish/vendor_completions.d:db4.fish")
    string(REPLACE ":" ";" completion "${completion}")
    list(GET completion 0 made)
    list(GET completion 1 folder)
    list(GET completion 2 name)
    install(FILES "${PROJECT_BINARY_DIR}/completions/${made}" DESTINATION "${CMAKE_INSTALL_DATADIR}/${folder}"
            RENAME "${name}" COMPONENT db4_tools OPTIONAL)
  endforeach()
endif()

include(CMakePackageConfigHelpers)
set(DB4_PACKAGE_FOLDER "${CMAKE_INSTALL_LIBDIR}/cmake/db4")
install(EXPORT db4-targets NAMESPACE db4:: DESTINATION "${DB4_PACKAGE_FOLDER}" COMPONENT db4_development)
list(TRANSFORM DB4_PKG_MODULES REPLACE "(.+)" "\"\\1\"" OUTPUT_VARIABLE quoted_modules)
list(JOIN quoted_modules " " DB4_PKG_MODULES_QUOTED)
configure_package_config_file("${CMAKE_CURRENT_LIST_DIR}/db4-config.cmake.in" "${PROJECT_BINARY_DIR}/db4-config.cmake"
                              INSTALL_DESTINATION "${DB4_PACKAGE_FOLDER}")
write_basic_package_version_file("${PROJECT_BINARY_DIR}/db4-config-version.cmake" COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/db4-config.cmake" "${PROJECT_BINARY_DIR}/db4-config-version.cmake"
        DESTINATION "${DB4_PACKAGE_FOLDER}" COMPONENT db4_development)

# A static library leaves linking to its user, so what it needs is public there: then plain `pkg-config --libs
# db4` links, with and without --static. A shared one brings its own; naming its parts would only make pkg-config
# ask for their development packages.
set(DB4_PC_REQUIRES "nlohmann_json >= 3.11")
# curl and libpq stand by their libraries alone: they are always shared ones, and by their own files `--static` would ask
# for all that they were linked with themselves.
set(DB4_PC_LIBS "")
if(NOT BUILD_SHARED_LIBS)
  set(modules "${DB4_PKG_MODULES}")
  list(FILTER modules EXCLUDE REGEX "^(libcurl|libpq)")
  list(JOIN modules ", " modules)
  set(DB4_PC_LIBS " -lcurl -lpq")
  string(APPEND DB4_PC_REQUIRES ", ${modules}")
endif()
file(RELATIVE_PATH DB4_PC_UP "${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig" "${CMAKE_INSTALL_PREFIX}")
configure_file("${CMAKE_CURRENT_LIST_DIR}/db4.pc.in" "${PROJECT_BINARY_DIR}/db4.pc" @ONLY)
install(FILES "${PROJECT_BINARY_DIR}/db4.pc" DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig"
        COMPONENT db4_development)
