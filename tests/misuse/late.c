/* Plain include first, as through another header, implementation later. */
#include "compshare.h"

static const char *version(void)
{
    return compshare_version();
}

#define COMPSHARE_IMPLEMENTATION
#include "compshare.h"
#define USE_NAME use
#include "use.h"

int main(void)
{
    return version()[0] == '\0' ? 100 : use();
}
