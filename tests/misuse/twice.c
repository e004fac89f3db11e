/* The header twice before, and twice with, the implementation. */
#include "compshare.h"
#include "compshare.h"
#define COMPSHARE_IMPLEMENTATION
#include "compshare.h"
#include "compshare.h"
#define USE_NAME use
#include "use.h"

int main(void)
{
    return use();
}
