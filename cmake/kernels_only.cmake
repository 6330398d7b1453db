# base, kernels and tests/kernels for another architecture. Headers without machine code come from the building machine
# (tl::expected alone by a link: all of /usr/include would bring its C library), GoogleTest from its source.
find_package(OpenMP REQUIRED COMPONENTS CXX)
find_path(TL_EXPECTED tl/expected.hpp PATHS /usr/include REQUIRED NO_CMAKE_FIND_ROOT_PATH)
file(MAKE_DIRECTORY ${PROJECT_BINARY_DIR}/headers)
file(CREATE_LINK ${TL_EXPECTED}/tl ${PROJECT_BINARY_DIR}/headers/tl SYMBOLIC)
add_library(tl_expected INTERFACE)
add_library(tl::expected ALIAS tl_expected)
target_include_directories(tl_expected SYSTEM INTERFACE ${PROJECT_BINARY_DIR}/headers)

add_subdirectory(/usr/src/googletest ${PROJECT_BINARY_DIR}/googletest EXCLUDE_FROM_ALL)

add_subdirectory(base)
add_subdirectory(kernels)
add_subdirectory(tests)
