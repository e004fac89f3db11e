/* The public half; the implementation is in another file. */
#include "compshare.h"
#define USE_NAME use
#include "use.h"

int main(void)
{
    return use();
}
