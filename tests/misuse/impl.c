/* The implementation and nothing else. */
#define COMPSHARE_IMPLEMENTATION
#include "compshare.h"
