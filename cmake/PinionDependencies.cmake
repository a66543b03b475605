# Every third-party library, each a Debian package; docs/dependencies.md says
# what each is for.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
find_package(GTest REQUIRED)
find_package(Protobuf REQUIRED)
find_package(absl REQUIRED)
find_package(nlohmann_json REQUIRED)

foreach(module grpc++ spdlog libseccomp sqlite3 libcurl libarchive libisal libzstd
        libcrypto libssl zlib yaml-0.1 libsystemd libnl-3.0 libnl-route-3.0 prometheus-cpp-core
        prometheus-cpp-pull)
  string(MAKE_C_IDENTIFIER ${module} id)
  pkg_check_modules(${id} REQUIRED IMPORTED_TARGET ${module})
endforeach()
