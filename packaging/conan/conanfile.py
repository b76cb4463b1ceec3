"""db4 storage for Conan 2: `conan create packaging/conan` from the project's folder."""

import os
import re

from conan import ConanFile
from conan.errors import ConanInvalidConfiguration
from conan.tools.build import check_min_cppstd
from conan.tools.cmake import CMake, CMakeDeps, CMakeToolchain, cmake_layout
from conan.tools.files import copy, load, rmdir
from conan.tools.gnu import PkgConfigDeps

required_conan_version = ">=2.0"


class Db4StorageConan(ConanFile):
    name = "db4-storage"
    description = "Documents in three tiers, moved by how they are used"
    license = "MIT"
    topics = ("storage", "tiering", "documents", "embedded", "cache")
    package_type = "library"
    settings = "os", "arch", "compiler", "build_type"
    options = {"shared": [True, False], "fPIC": [True, False], "tools": [True, False]}
    # db4 derives from classes of RocksDB, and so needs their type information.
    default_options = {"shared": False, "fPIC": True, "tools": False, "rocksdb/*:use_rtti": True}
    implements = ["auto_shared_fpic"]

    def set_version(self):
        # Exported recipes carry the version in their metadata; the header is there only in the tree.
        header = os.path.join(self.recipe_folder, "..", "..", "include", "db4", "version.hpp")
        if os.path.exists(header):
            parts = re.findall(r"#define DB4_VERSION_\w+ (\d+)", load(self, header))
            self.version = self.version or ".".join(parts)

    def export_sources(self):
        root = os.path.join(self.recipe_folder, "..", "..")
        for pattern in ("CMakeLists.txt", "LICENSE", "cmake/*", "include/*", "src/*"):
            copy(self, pattern, src=root, dst=self.export_sources_folder)

    def layout(self):
        cmake_layout(self)

    def requirements(self):
        # Its call in a public header is inline, so that whoever uses db4 sees it.
        self.requires("nlohmann_json/[>=3.11 <4]", transitive_headers=True)
        self.requires("rocksdb/[>=7.8]")
        self.requires("sqlite3/[>=3.40 <4]")
        self.requires("libpq/[>=14]")
        self.requires("zstd/[>=1.5 <1.6]")
        self.requires("libdeflate/[>=1.14 <2]")
        self.requires("openssl/[>=3.0 <4]")
        self.requires("simdjson/[>=3.0 <4]")
        self.requires("libcurl/[>=7.88 <9]")
        self.requires("pugixml/[>=1.12 <2]")
        self.requires("hiredis/[>=0.14 <2]")
        self.requires("libsodium/[>=1.0.18 <2]")
        if self.options.tools:
            self.requires("cli11/[>=2.1 <3]")
            self.requires("tomlplusplus/[>=3.2 <4]")

    def validate(self):
        check_min_cppstd(self, 20)
        if self.settings.os != "Linux":
            raise ConanInvalidConfiguration("db4 storage runs on Linux only")
        if self.dependencies["rocksdb"].options.get_safe("shared"):
            raise ConanInvalidConfiguration("Conan's shared RocksDB has no C++ headers: use -o rocksdb/*:shared=False")

    def generate(self):
        CMakeDeps(self).generate()
        PkgConfigDeps(self).generate()  # cmake/db4_dependencies.cmake asks pkg-config
        toolchain = CMakeToolchain(self)
        toolchain.cache_variables["DB4_BUILD_CLI"] = bool(self.options.tools)
        toolchain.cache_variables["DB4_BUILD_TESTS"] = False
        toolchain.cache_variables["DB4_BUILD_BENCHMARKS"] = False
        toolchain.cache_variables["DB4_BUILD_EXAMPLES"] = False
        toolchain.generate()

    def build(self):
        cmake = CMake(self)
        cmake.configure()
        cmake.build()

    def package(self):
        CMake(self).install()
        copy(self, "LICENSE", src=self.source_folder, dst=os.path.join(self.package_folder, "licenses"))
        # Conan writes these for whoever uses the package.
        rmdir(self, os.path.join(self.package_folder, "lib", "cmake"))
        rmdir(self, os.path.join(self.package_folder, "lib", "pkgconfig"))

    def package_info(self):
        self.cpp_info.set_property("cmake_file_name", "db4")
        self.cpp_info.set_property("cmake_target_name", "db4::storage")
        self.cpp_info.set_property("pkg_config_name", "db4")
        self.cpp_info.libs = ["db4-storage"]
        self.cpp_info.system_libs = ["pthread"]
