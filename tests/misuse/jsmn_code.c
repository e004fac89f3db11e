/* jsmn's code, for a jsmn_own.c that was compiled with JSMN_HEADER. */
#include <jsmn.h>
