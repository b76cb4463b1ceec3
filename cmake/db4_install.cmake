# What `cmake --install` lays down: library, headers, find_package(db4) files and db4.pc. All of it may be moved
# to another prefix as a whole.
install(TARGETS db4_storage EXPORT db4-targets ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}"
        LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}")
install(DIRECTORY "${PROJECT_SOURCE_DIR}/include/db4" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}"
        FILES_MATCHING PATTERN "*.hpp")

set(DB4_PACKAGE_FOLDER "${CMAKE_INSTALL_LIBDIR}/cmake/db4")
install(EXPORT db4-targets NAMESPACE db4:: DESTINATION "${DB4_PACKAGE_FOLDER}")
list(TRANSFORM DB4_PKG_MODULES REPLACE "(.+)" "\"\\1\"" OUTPUT_VARIABLE quoted_modules)
list(JOIN quoted_modules " " DB4_PKG_MODULES_QUOTED)
configure_package_config_file("${CMAKE_CURRENT_LIST_DIR}/db4-config.cmake.in" "${PROJECT_BINARY_DIR}/db4-config.cmake"
                              INSTALL_DESTINATION "${DB4_PACKAGE_FOLDER}")
write_basic_package_version_file("${PROJECT_BINARY_DIR}/db4-config-version.cmake" COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/db4-config.cmake" "${PROJECT_BINARY_DIR}/db4-config-version.cmake"
        DESTINATION "${DB4_PACKAGE_FOLDER}")

# A static library leaves linking to its user, so what it needs is public there: then plain `pkg-config --libs
# db4` links, with and without --static. A shared one brings its own.
list(JOIN DB4_PKG_MODULES ", " modules)
if(BUILD_SHARED_LIBS)
  set(DB4_PC_REQUIRES "nlohmann_json >= 3.11")
  set(DB4_PC_REQUIRES_PRIVATE "${modules}")
else()
  set(DB4_PC_REQUIRES "nlohmann_json >= 3.11, ${modules}")
  set(DB4_PC_REQUIRES_PRIVATE "")
endif()
file(RELATIVE_PATH DB4_PC_UP "${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig" "${CMAKE_INSTALL_PREFIX}")
configure_file("${CMAKE_CURRENT_LIST_DIR}/db4.pc.in" "${PROJECT_BINARY_DIR}/db4.pc" @ONLY)
install(FILES "${PROJECT_BINARY_DIR}/db4.pc" DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
