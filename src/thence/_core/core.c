/* The version of the interface between the C files and the Python files of this folder. */

#include "core.h"

/* Raised, here and in __init__.py, whenever a function changes its arguments or its meaning: a library
   that was built of older files is then not used. */
CORE_EXPORT int32_t thence_core_version(void) { return 4; }
