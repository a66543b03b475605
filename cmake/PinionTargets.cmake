# How every target of ours is built: warnings are errors, headers are included
# from the top of the tree, tests are registered with CTest under a label.

set(PINION_WARNINGS -Wall -Wextra -Wshadow -Wconversion -Werror)
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  list(APPEND PINION_WARNINGS -Wthread-safety)
endif()

# Sanitizers apply to everything but static binaries (the monitor), which
# no sanitizer run-time supports.
set(PINION_SANITIZE "" CACHE STRING "value for -fsanitize=")
option(PINION_FUZZERS "build the libFuzzer targets (clang only)" OFF)

find_program(PINION_MOLD mold)
if(PINION_MOLD)
  add_link_options(-fuse-ld=mold)
endif()
add_link_options(-Wl,--as-needed -Wl,-z,relro,-z,now)

function(pinion_compile_options target)
  target_compile_options(${target} PRIVATE ${PINION_WARNINGS})
  target_include_directories(${target} PUBLIC ${CMAKE_SOURCE_DIR})
endfunction()

function(pinion_sanitize target)
  if(PINION_SANITIZE)
    target_compile_options(${target} PRIVATE -fsanitize=${PINION_SANITIZE}
                           -fno-sanitize-recover=all)
    target_link_options(${target} PUBLIC -fsanitize=${PINION_SANITIZE})
  endif()
endfunction()

# pinion_library(NAME SRCS a.cc b.cc DEPS x y PRIVATE_DEPS z)
function(pinion_library name)
  cmake_parse_arguments(ARG "" "" "SRCS;DEPS;PRIVATE_DEPS" ${ARGN})
  if(ARG_SRCS)
    add_library(${name} STATIC ${ARG_SRCS})
    pinion_compile_options(${name})
    pinion_sanitize(${name})
    target_link_libraries(${name} PUBLIC ${ARG_DEPS} PRIVATE ${ARG_PRIVATE_DEPS})
  else()
    add_library(${name} INTERFACE)
    target_include_directories(${name} INTERFACE ${CMAKE_SOURCE_DIR})
    target_link_libraries(${name} INTERFACE ${ARG_DEPS})
  endif()
endfunction()

# pinion_binary(NAME SRCS a.cc DEPS x y)
function(pinion_binary name)
  cmake_parse_arguments(ARG "" "" "SRCS;DEPS" ${ARGN})
  add_executable(${name} ${ARG_SRCS})
  pinion_compile_options(${name})
  pinion_sanitize(${name})
  target_link_libraries(${name} PRIVATE ${ARG_DEPS})
endfunction()

# pinion_test(NAME SRCS a_test.cc DEPS x LABEL unit|integration TIMEOUT s)
# One GoogleTest binary; it runs in the top of the tree. Without a TIMEOUT it has
# 120 seconds, an integration test 900.
function(pinion_test name)
  cmake_parse_arguments(ARG "" "LABEL;TIMEOUT" "SRCS;DEPS" ${ARGN})
  pinion_binary(${name} SRCS ${ARG_SRCS}
                DEPS ${ARG_DEPS} GTest::gmock GTest::gtest_main)
  if(PINION_SANITIZE STREQUAL "thread")
    target_sources(${name} PRIVATE
                   ${CMAKE_SOURCE_DIR}/tests/support/tsan_absl.cc)
    target_link_libraries(${name} PRIVATE absl::synchronization)
  endif()
  set_target_properties(${name} PROPERTIES
                        RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  if(NOT ARG_LABEL)
    set(ARG_LABEL unit)
  endif()
  if(NOT ARG_TIMEOUT AND ARG_LABEL STREQUAL "integration")
    set(ARG_TIMEOUT 900)
  elseif(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 120)
  endif()
  add_test(NAME ${name} COMMAND ${name} WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
  set_tests_properties(${name} PROPERTIES LABELS ${ARG_LABEL}
    TIMEOUT ${ARG_TIMEOUT}
    ENVIRONMENT "PINION_BIN=${PINION_BIN_DIR};PINION_BUILD=${CMAKE_BINARY_DIR}")
endfunction()

# pinion_fuzzer(NAME SRCS a_fuzzer.cc DEPS x): only in the clang preset. The
# corpus is tests/fuzz/corpus/NAME.
function(pinion_fuzzer name)
  cmake_parse_arguments(ARG "" "" "SRCS;DEPS" ${ARGN})
  if(NOT PINION_FUZZERS)
    return()
  endif()
  pinion_binary(${name} SRCS ${ARG_SRCS} DEPS ${ARG_DEPS})
  target_compile_options(${name} PRIVATE -fsanitize=fuzzer,address,undefined)
  target_link_options(${name} PRIVATE -fsanitize=fuzzer,address,undefined)
  set_target_properties(${name} PROPERTIES
                        RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/fuzz)
  if(NOT TARGET fuzzers)
    add_custom_target(fuzzers)
  endif()
  add_dependencies(fuzzers ${name})
endfunction()
