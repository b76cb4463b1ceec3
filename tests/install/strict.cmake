# strict(TARGET): the warnings of a stranger who takes them seriously, for db4's headers too.
function(strict target)
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Werror)
  # As CMake has it, headers of a found package are the system's, and silent.
  set_target_properties(${target} PROPERTIES NO_SYSTEM_FROM_IMPORTED ON)
endfunction()
