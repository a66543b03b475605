# Run at every build (cmake -P): writes base/build_info.cc, only if it changed.
execute_process(COMMAND git -C ${SOURCE_DIR} describe --always --dirty --abbrev=12
                        --exclude=*
                OUTPUT_VARIABLE PINION_COMMIT OUTPUT_STRIP_TRAILING_WHITESPACE
                ERROR_QUIET RESULT_VARIABLE failed)
if(failed)
  set(PINION_COMMIT unknown)
endif()
configure_file(${SOURCE_DIR}/base/build_info.cc.in ${OUTPUT} @ONLY)
