/* The other one of static_a.c. */
#define COMPSHARE_STATIC
#define COMPSHARE_IMPLEMENTATION
#include "compshare.h"
#define USE_NAME use_b
#include "use.h"

extern int other(void);

int other(void)
{
    return use_b();
}
