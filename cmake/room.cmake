# Sees its own HEADERS and those of the rooms it USES, declared before it: no link and no #include can point upward.
function(assay_room name)
  cmake_parse_arguments(ROOM "" "" "HEADERS;SOURCES;USES" ${ARGN})
  add_library(${name} STATIC ${ROOM_SOURCES})
  foreach(used IN LISTS ROOM_USES)
    if(NOT TARGET ${used})
      message(FATAL_ERROR "${used} is not below ${name}")
    endif()
  endforeach()
  set(seen ${PROJECT_BINARY_DIR}/rooms/${name})
  foreach(header IN LISTS ROOM_HEADERS)
    cmake_path(GET header PARENT_PATH folder)
    file(MAKE_DIRECTORY ${seen}/${folder})
    file(CREATE_LINK ${PROJECT_SOURCE_DIR}/${header} ${seen}/${header} SYMBOLIC)
  endforeach()
  target_include_directories(${name} PUBLIC ${seen})
  target_link_libraries(${name} PUBLIC ${ROOM_USES} assay_options)
endfunction()

# What every target of ours is compiled with. Fields left out of a designated initialiser have their defaults, on purpose. -Wrestrict of g++ 12 is wrong about std::string's operator+ (GCC bug 105651).
add_library(assay_options INTERFACE)
target_compile_options(assay_options INTERFACE
  -Wall -Wextra -Wno-missing-field-initializers -Wpedantic -Wshadow -Wnon-virtual-dtor -Wold-style-cast -Wimplicit-fallthrough -Werror
  $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict>)
target_link_libraries(assay_options INTERFACE tl::expected)
