#!/bin/sh
# forms.sh DIR: holds every form that compshare.h gives to its own printf (%s a string, %d an
# int, %l an int64_t, %t an int64_t shown as a time) against its arguments, their number and
# their kinds. The compiler does it: in a copy of the header %l and %t become what printf calls
# an int64_t, any other letter one that it does not know, and the functions that take forms say so.
# Speaks TAP.
set -u
dir=$1
CC=${CC:-cc}
mkdir -p "$dir"
count=0 failed=0

result() {      # STATUS NAME
    count=$((count + 1))
    [ "$1" = 0 ] && echo "ok $count - $2" && return
    failed=$((failed + 1))
    echo "not ok $count - $2"
}

case $(echo | $CC -dM -E - | grep ' __INT64_TYPE__ ') in
*'long long'*) int64=lld ;;
*) int64=ld ;;
esac

# fits HEADER: every form fits its arguments
fits() {
    format='__attribute__((format(printf,'
    sed -e 's/compshare__bytes_form(&t, form, text, (int64_t)number)/compshare__bytes_form(\&t, "%s %l", text, (int64_t)number)/' \
        -e "s/%[^sdlt%' ]/%y/g" -e "s/%[lt]/%$int64/g" \
        -e "s/^static void compshare__bytes_form_list(/$format 2, 0))) &/" \
        -e "s/^static void compshare__bytes_form(/$format 2, 3))) &/" \
        -e "s/^static void compshare__client_say(/$format 2, 0))) &/" \
        -e "s/^static int compshare__client_fail(/$format 3, 4))) &/" \
        -e "s/^static int compshare__client_fail_append(/$format 2, 3))) &/" "$1" >"$dir/compshare.h"
    : >"$dir/forms.log"
    [ "$(grep -c '^__attribute__((format(printf' "$dir/compshare.h")" = 5 ] || return 1
    echo '#include "compshare.h"' >"$dir/forms.c"
    $CC -std=c99 -DCOMPSHARE_IMPLEMENTATION -DCOMPSHARE_PLAINTEXT -I"$dir" -fsyntax-only \
        -Wformat -Wformat-nonliteral -Wno-format-zero-length -Werror "$dir/forms.c" 2>"$dir/forms.log"
}

# traces HEADER: compshare__client_trace always passes a string and an int64_t: its forms may leave out
# the last or both
traces() {
    calls=$(grep -c '^ .*compshare__client_trace(' "$1")
    good=$(grep -cE '^ .*compshare__client_trace\([^,]*, "[^%"]*(%s[^%"]*(%l[^%"]*)?)?",' "$1")
    [ "$calls" -gt 0 ] && [ "$calls" = "$good" ]
}

# refused CHECK NAME SED: a copy with this change does not pass
refused() {
    sed -e "$3" compshare.h >"$dir/wrong.h"
    cmp -s compshare.h "$dir/wrong.h" && { result 1 "$2: nothing was changed"; return; }
    ! "$1" "$dir/wrong.h"
    result $? "$2 is found"
}

fits compshare.h || { sed 's/^/# /' "$dir/forms.log"; false; }
result $? 'every form fits its arguments'
traces compshare.h
result $? 'every form of a trace fits'
refused fits '%d for an int64_t' 's/"parameter %l: %s"/"parameter %d: %s"/'
refused fits '%l for an int' 's/"HTTP status %d%s"/"HTTP status %l%s"/'
refused fits '%s for a number' 's/"parameter %l: %s"/"parameter %s: %s"/'
refused fits '%t for a string' 's/"parameter %s: %s"/"parameter %t: %s"/'
refused fits 'an argument too few' 's/"parameter %s: %s", key, reason)/"parameter %s: %s", key)/'
refused fits 'an argument too many' 's/"parameter %s: %s", key, reason)/"parameter %s: ", key, reason)/'
refused fits 'a letter that only printf knows' 's/"HTTP status %d%s"/"HTTP status %u%s"/'
refused fits 'a width' 's/"HTTP status %d%s"/"HTTP status %3d%s"/'
refused traces 'a number before the string' 's/"connect %s %l"/"connect %l %s"/'
echo "1..$count"
[ $failed = 0 ]
