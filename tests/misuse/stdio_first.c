/* A system header before the implementation. */
#include <stdio.h>
#define COMPSHARE_IMPLEMENTATION
#include "compshare.h"
#define USE_NAME use
#include "use.h"

int main(void)
{
    return use();
}
