/* Two files, each with an implementation of its own. */
#define COMPSHARE_STATIC
#define COMPSHARE_IMPLEMENTATION
#include "compshare.h"
#define USE_NAME use_a
#include "use.h"

extern int other(void);

int main(void)
{
    int r = use_a();
    return r != 0 ? r : other();
}
