#!/bin/sh
# embedded.sh BUILD_DIR: compshare.h without an operating system. TAP.
#
# Compiles it with COMPSHARE_NO_SOCKETS for microcontrollers and looks at what the
# object asks of the rest of a program: BearSSL, five functions of string.h and the
# compiler's own helpers for integers; no writable data, no floating point, no
# header of POSIX. Then adds one of each, to see that every check refuses it.
# Nothing is linked or run here.
set -u
CC=${CC:-cc}
root=$(cd "$(dirname "$0")/../.." && pwd) || exit 2
rm -rf "$1"
mkdir -p "$1/libraries" || exit 2
out=$(cd "$1" && pwd) || exit 2
log=$out/log
warnings='-Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wstrict-prototypes -Wvla -Werror'

# name | compiler | flags | helpers of libgcc that it may need: division and shifts of
# 64 bits; on Cortex-M0+, which cannot divide, more of these and tables of branches
targets='
Cortex-M0+|arm-none-eabi-gcc|-mthumb -mcpu=cortex-m0plus|__aeabi_(u?ldivmod|u?idiv|u?idivmod|lmul|llsl|llsr|lasr|u?lcmp)|__gnu_thumb1_case_(uqi|sqi|uhi|shi|si)
Cortex-M3|arm-none-eabi-gcc|-mthumb -mcpu=cortex-m3|__aeabi_u?ldivmod
Cortex-M4 with FPU|arm-none-eabi-gcc|-mthumb -mcpu=cortex-m4 -mfloat-abi=hard -mfpu=fpv4-sp-d16|__aeabi_u?ldivmod
RISC-V, 32 bits|riscv64-unknown-elf-gcc|--specs=picolibc.specs -march=rv32imac -mabi=ilp32|__(u?div|u?mod|ashl|ashr|lshr)di3
RISC-V, 64 bits|riscv64-unknown-elf-gcc|--specs=picolibc.specs -march=rv64imac -mabi=lp64|none
'

# BearSSL and jsmn stand among the host's headers, which must not come along.
for header in bearssl jsmn; do
    directory=$(echo "#include <$header.h>" | "$CC" -E -x c - | sed -n "s|^# 1 \"\(.*\)/$header\.h\".*|\1|p" | head -n 1)
    ln -sf "$directory/$header"* "$out/libraries/"
done

cat >"$out/good.c" <<'C'
#define COMPSHARE_IMPLEMENTATION
#include "compshare.h"
C
cat - "$out/good.c" >"$out/bad.c" <<'C'
#include <stdlib.h>
#include <time.h>
void *wrong_call(void);
void *wrong_call(void) { return malloc(3); }
double wrong_double(double x);
double wrong_double(double x) { return x * x; }
float wrong_float(float x);
float wrong_float(float x) { return x * x; }
int wrong_counter(void);
int wrong_counter(void) { static int wrong_zero; return ++wrong_zero; }
extern int wrong_variable;
int wrong_variable = 3;
C
cat >"$out/warned.c" <<'C'
short wrong_short(int x);
short wrong_short(int x) { return x; }
C
cat >"$out/public.cc" <<'C'
#include "compshare.h"
static_assert(COMPSHARE_OK == 0, "C++11");
compshare_config config_of(void *memory, size_t size);
compshare_config config_of(void *memory, size_t size)
{
    compshare_config config = {};
    config.memory = memory;
    config.memory_size = size;
    return config;
}
C

. "$root/tests/scripts/tap.sh"

# compile NAME: NAME.c to NAME.o, and the files that it included to NAME.d
compile() {
    rm -f "$out/$1.o" "$out/$1.d"
    # shellcheck disable=SC2086
    "$compiler" $flags -std=c99 -Os $warnings -DCOMPSHARE_NO_SOCKETS -I"$root" -isystem "$out/libraries" \
        -MD -c -o "$out/$1.o" "$out/$1.c"
}

# Each of these prints what is wrong, and also fails when there is nothing to look at.

symbols() {
    "${compiler%gcc}nm" -u "$out/$1.o" | awk '{ print $NF }' >"$out/undefined"
    grep -q '^br_' "$out/undefined" &&
        ! grep -vxE "br_[a-z0-9_]+|memcpy|memmove|memset|memcmp|strlen|$helpers" "$out/undefined"
}

# by section, because compilers differ in where they put what
read_only() {
    "${compiler%gcc}objdump" -h "$out/$1.o" | awk '
        $1 ~ /^[0-9]+$/ { section = $2; empty = $3 ~ /^0+$/ }
        /ALLOC/ { seen = 1 }
        /ALLOC/ && !/READONLY/ && !empty { print section " is writable"; bad = 1 }
        END { exit bad || !seen }' && ! "${compiler%gcc}nm" "$out/$1.o" | grep ' C ' && return 0
    "${compiler%gcc}nm" "$out/$1.o" | awk '$2 ~ /^[BbCDdGgSs]$/ { print $3 }'
    return 1
}

# A load or a store through such a register copies 64-bit integers; anything else computes.
no_float() {
    "${compiler%gcc}objdump" -d "$out/$1.o" | awk -F '\t' '
        NF >= 3 { seen = 1 }
        $3 ~ /^v/ && $3 !~ /^v((ldr|str)(eq|ne|cs|cc|mi|pl|vs|vc|hi|ls|ge|lt|gt|le)?|push|pop)$/ { print $3, $4; bad = 1 }
        END { exit bad || !seen }'
}

no_posix() {
    tr -s ' ' '\n' <"$out/$1.d" >"$out/included" && grep -q '/string\.h$' "$out/included" &&
        ! grep -E '/(sys/(socket|random|time|types)|netinet/.*|arpa/.*|netdb|unistd|poll|fcntl|errno|time|signal|stdio|stdlib|assert)\.h$' "$out/included"
}

# Only what every compiler brings along, and these five functions.
bare_headers() {
    rm -rf "$out/bare"
    mkdir "$out/bare"
    own=$("$compiler" -print-file-name=include)
    for header in stdarg stdbool stddef stdint stdint-gcc; do
        ln -s "$own/$header.h" "$out/bare/"
    done
    cat >"$out/bare/string.h" <<'C'
#include <stddef.h>
void *memcpy(void *, const void *, size_t);
void *memmove(void *, const void *, size_t);
void *memset(void *, int, size_t);
int memcmp(const void *, const void *, size_t);
size_t strlen(const char *);
C
    # the specs would bring picolibc's own headers back
    # shellcheck disable=SC2086
    "$compiler" ${flags#--specs=* } -std=c99 $warnings -ffreestanding -nostdinc -DCOMPSHARE_NO_SOCKETS -I"$root" -isystem "$out/bare" \
        -isystem "$out/libraries" -fsyntax-only "$out/$1.c"
}

# refuses PATTERN COMMAND...: the command must fail and name this
refuses() {
    pattern=$1
    shift
    if "$@" >"$out/said" 2>&1; then
        echo "accepted: $*"
        return 1
    fi
    grep -qE "$pattern" "$out/said" || { echo "$* said nothing of $pattern:" && cat "$out/said"; return 1; }
}

all_refused() {
    compile bad && refuses '^malloc$' symbols bad && refuses '^__(aeabi_dmul|muldf3)$' symbols bad &&
        refuses '^wrong_variable$' read_only bad && refuses '^wrong_zero' read_only bad &&
        refuses '/time\.h$' no_posix bad && refuses 'stdlib\.h' bare_headers bad && refuses '=conversion' compile warned || return 1
    case $flags in
    *-mfpu=*) refuses '^vmul' no_float bad ;;
    *) refuses '^__(aeabi_fmul|mulsf3)$' symbols bad ;;
    esac
}

while IFS='|' read -r target compiler flags helpers; do
    [ -n "$target" ] || continue
    if ! command -v "$compiler" >/dev/null 2>&1; then
        count=$((count + 1))
        echo "ok $count - $target # SKIP $compiler is not installed"
        continue
    fi
    check "$target: compiles without a warning" compile good || continue
    check "$target: needs BearSSL, five functions of string.h, integer helpers" symbols good
    check "$target: no writable data" read_only good
    check "$target: includes nothing of POSIX" no_posix good
    check "$target: the compiler's own headers and string.h are enough" bare_headers good
    case $flags in *-mfpu=*) check "$target: no floating-point instruction" no_float good ;; esac
    check "$target: each of these checks refuses what it should" all_refused
done <<TARGETS
$targets
TARGETS

if command -v arm-none-eabi-g++ >/dev/null 2>&1; then
    check 'Cortex-M3: the public half as C++11, without the libraries' arm-none-eabi-g++ -mthumb -mcpu=cortex-m3 -std=c++11 -Os \
        -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror -DCOMPSHARE_NO_SOCKETS -I"$root" -c -o "$out/public.o" "$out/public.cc"
fi
echo "1..$count"
[ "$failed" -eq 0 ]
