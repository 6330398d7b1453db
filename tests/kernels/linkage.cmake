# Sources for one instruction set may define their kernels and nothing that another source could define too: of an inline
# function the linker keeps any copy, perhaps one that this machine cannot run. Eigen's own templates are all compiled with
# one set of flags.  cmake -DNM=nm -DOBJECTS=a;b -P linkage.cmake
set(looked_at 0)
foreach(object IN LISTS OBJECTS)
  if(NOT object MATCHES "/cpu/")
    continue()
  endif()
  math(EXPR looked_at "${looked_at} + 1")
  execute_process(COMMAND ${NM} --defined-only ${object} OUTPUT_VARIABLE symbols COMMAND_ERROR_IS_FATAL ANY)
  string(REGEX MATCHALL "[^\n]* [WVu] [^\n]*" weak "${symbols}")
  list(FILTER weak EXCLUDE REGEX "5Eigen|DW[.]ref")
  if(weak)
    message(SEND_ERROR "${object} defines what others may define too: ${weak}")
  endif()
endforeach()
if(looked_at LESS 10)
  message(SEND_ERROR "only ${looked_at} kernels' objects in: ${OBJECTS}")
endif()
