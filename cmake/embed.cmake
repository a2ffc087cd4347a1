# Compiles the files of a folder into a target: `constexpr` pairs (file name without its ending, text), returned by
# `lockstep::<namespace>::<function>()`. Written at configure time; a changed file configures anew.

function(lockstep_embed target namespace function pattern)
    file(GLOB files CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/${pattern})
    set(entries "")
    foreach(file ${files})
        set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${file})
        get_filename_component(name ${file} NAME_WE)
        file(READ ${file} text)
        string(APPEND entries "    {\"${name}\", R\"embedded(${text})embedded\"},\n")
    endforeach()
    set(place ${CMAKE_BINARY_DIR}/embedded/${function}.cpp)
    file(CONFIGURE OUTPUT ${place} @ONLY CONTENT "#include <span>
#include <string_view>
#include <utility>

namespace lockstep::@namespace@ {
namespace {
using Pair = std::pair<std::string_view, std::string_view>;
constexpr Pair kFiles[] = {
@entries@};
}  // namespace
std::span<const Pair> @function@() { return kFiles; }
}  // namespace lockstep::@namespace@
")
    target_sources(${target} PRIVATE ${place})
endfunction()
