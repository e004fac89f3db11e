#!/bin/sh
# size.sh BUILD_DIR: sizes of the object at -Os, by section and by room, and of
# the client's memory. Fails if .text is over 36 KB (36,864 bytes).
set -eu
dir=$1
CC=${CC:-cc}
cat >"$dir/object.c" <<'C'
#define COMPSHARE_IMPLEMENTATION
#include "compshare.h"
C
cat >"$dir/memory.c" <<'C'
#define COMPSHARE_IMPLEMENTATION
#include "compshare.h"
#include <stdio.h>
int main(void)
{
    compshare_config small = { 0 };
    small.flags = COMPSHARE_SMALL_RECORDS;
    printf("client state          %6zu bytes, of which TLS %zu\n", sizeof(compshare), sizeof(compshare__tls));
    printf("TLS record buffer     %6u bytes\n", COMPSHARE__RECORD_FULL);
    printf("memory needed         %6zu bytes (COMPSHARE_SMALL_RECORDS: %zu)\n", compshare_memory_needed(NULL), compshare_memory_needed(&small));
    return 0;
}
C
"$CC" -std=c99 -Os -I. -c -o "$dir/object.o" "$dir/object.c"
# the same without inlining, so that every function can be told to its room
"$CC" -std=c99 -Os -fno-inline -I. -c -o "$dir/rooms.o" "$dir/object.c"
"$CC" -std=c99 -Os -I. -o "$dir/memory" "$dir/memory.c" -lbearssl

size -A "$dir/object.o" | awk '$1 ~ /^\.(text|rodata|data)/ { part[substr($1, 2, 4)] += $2 } END {
    printf ".text                 %6d bytes (at most 36864)\n", part["text"]
    printf "read-only data        %6d bytes\n", part["roda"] + part["data"]
    exit part["text"] > 36864 }'
"$dir/memory"
echo 'by room, not inlined:'
nm -S -t d --defined-only "$dir/rooms.o" | awk 'tolower($3) == "t" {
    room = $4
    if (sub(/^compshare__/, "", room)) sub(/_.*/, "", room); else room = "public"
    bytes[room] += $2
} END { for (room in bytes) printf "  %6d %s\n", bytes[room], room }' | sort -rn
