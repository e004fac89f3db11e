#!/bin/sh
# size.sh BUILD_DIR: sizes of the object at -Os, by section and by room, and of
# the client's memory; where arm-none-eabi-gcc is installed also of the object for
# a Cortex-M4 without an operating system. The targets, 36 KB (36,864 bytes) here and
# 24 KB (24,576) there, are printed beside what is reached; what fails is growth past
# 50 KB (51,200) here.
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

cat >"$dir/plan.c" <<'C'
#define COMPSHARE_IMPLEMENTATION
#include "compshare.h"
static unsigned char memory[COMPSHARE_MEMORY];
int main(void)
{
    compshare *client;
    compshare_schedule schedule;
    compshare_plan plan = { 0 };
    compshare_config config = { 0 };
    char text[COMPSHARE_ERROR_TEXT];
    config.memory = memory;
    config.memory_size = sizeof memory;
    if (compshare_open(&client, &config) != COMPSHARE_OK) return compshare_open_text(&config, text, sizeof text)[0];
    if (compshare_schedule_set(client, &plan, &schedule) != COMPSHARE_OK) return compshare_error_text(client, text, sizeof text)[0];
    compshare_close(client);
    return 0;
}
C

# sections NAME BINUTILS LIMIT: fails if .text is over LIMIT
sections() {
    "$2size" -A "$dir/$1.o" | awk -v limit="$3" '$1 ~ /^\.(text|rodata|data)/ { part[substr($1, 2, 4)] += $2 } END {
        over = part["text"] - limit
        printf ".text                 %6d bytes (at most %d: %s)\n", part["text"], limit, (over > 0 ? "short by " over : "ok")
        printf "read-only data        %6d bytes\n", part["roda"] + part["data"]
        exit over > 0 }'
}

# linked NAME BINUTILS COMPILER FLAG...: what a linker takes of it for plan.c, where functions
# and tables have sections of their own
linked() {
    name=$1 binutils=$2
    shift 2
    "$@" -ffunction-sections -fdata-sections -o "$dir/$name-sections.o" "$dir/plan.c"
    "${binutils}ld" -r --gc-sections -e main -o "$dir/$name-linked.o" "$dir/$name-sections.o"
    "${binutils}nm" -S -t d --defined-only "$dir/$name-linked.o" | awk 'tolower($3) == "t" && $4 ~ /^compshare_/ { n += $2 } END {
        printf "linked for a plan     %6d bytes of .text, by a program that only calls compshare_schedule_set\n", n }'
}

# rooms NAME BINUTILS COMPILER FLAG...: compiled once more without inlining, so that
# every function can be told to its room
rooms() {
    name=$1 binutils=$2
    shift 2
    "$@" -fno-inline -o "$dir/$name-rooms.o" "$dir/object.c"
    echo 'by room, not inlined:'
    "${binutils}nm" -S -t d --defined-only "$dir/$name-rooms.o" | awk 'tolower($3) == "t" {
        room = $4
        if (room ~ /^br_/) room = "(BearSSL, from its headers)"
        else if (sub(/^compshare__/, "", room)) sub(/[_.].*/, "", room)
        else room = "public"
        bytes[room] += $2
    } END { for (room in bytes) printf "  %6d %s\n", bytes[room], room }' | sort -rn
}

set -- "$CC" -std=c99 -Os -I. -c
"$@" -o "$dir/host.o" "$dir/object.c"
"$CC" -std=c99 -Os -I. -o "$dir/memory" "$dir/memory.c" -lbearssl
status=0
sections host '' 36864 || [ "$(size -A "$dir/host.o" | awk '$1 ~ /^\.text/ { n += $2 } END { print n }')" -le 51200 ] || status=1
linked host '' "$@"
"$dir/memory" >"$dir/memory.txt"
cat "$dir/memory.txt"
rooms host '' "$@"

# what the texts say of the memory, on a machine of 64 bits
figures=$(sed -n 's/^memory needed *\([0-9]*\) .*: \([0-9]*\))$/\1 \2/p' "$dir/memory.txt")
[ -n "$figures" ] || status=1
for needed in $figures; do
    shown=$(echo "$needed" | sed 's/...$/,&/')
    for text in compshare.h README.md README.zh-CN.md; do
        grep -q "$shown" $text || [ "$(getconf LONG_BIT)" != 64 ] || { echo "$text does not say $shown"; status=1; }
    done
done

if command -v arm-none-eabi-gcc >/dev/null 2>&1; then
    # BearSSL and jsmn stand among this machine's headers, which must not come along
    mkdir -p "$dir/libraries"
    for header in bearssl jsmn; do
        from=$(echo "#include <$header.h>" | "$CC" -E -x c - | sed -n "s|^# 1 \"\(.*\)/$header\.h\".*|\1|p" | head -n 1)
        ln -sf "$from/$header"* "$dir/libraries/"
    done
    echo 'Cortex-M4, COMPSHARE_NO_SOCKETS'
    set -- arm-none-eabi-gcc -mthumb -mcpu=cortex-m4 -DCOMPSHARE_NO_SOCKETS -isystem "$dir/libraries" -std=c99 -Os -I. -c
    "$@" -o "$dir/cortex-m4.o" "$dir/object.c"
    sections cortex-m4 arm-none-eabi- 24576 || :
    linked cortex-m4 arm-none-eabi- "$@"
    rooms cortex-m4 arm-none-eabi- "$@"
fi
exit $status
