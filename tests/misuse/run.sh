#!/bin/sh
# Compiles compshare.h in every way that a program may, and in some that it should
# not:   run.sh BUILDDIR
#
# Prints TAP. Uses $CC (cc), $CXX (c++), and clang++ where it is installed. Needs a
# POSIX shell, nm, awk, the BearSSL library and jsmn's header. Touches no network.

set -u

if [ $# -ne 1 ] || [ -z "$1" ]; then
	echo "usage: run.sh BUILDDIR" >&2
	exit 2
fi
CC=${CC:-cc}
CXX=${CXX:-c++}
unset COMPSHARE_PUBLIC_KEY COMPSHARE_PRIVATE_KEY
here=$(cd "$(dirname "$0")" && pwd) || exit 2
root=$(cd "$here/../.." && pwd) || exit 2
mkdir -p "$1" || exit 2
out=$(cd "$1" && pwd) || exit 2
log=$out/misuse.log

warnings='-Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wstrict-prototypes -Wvla -Werror'
cxx_warnings='-Wall -Wextra -Wpedantic -Wshadow -Werror'

. "$here/../scripts/tap.sh"

# build PROGRAM ARGUMENTS...: compiles, links and runs. -I comes first.
build() {
	program=$out/$1
	shift
	(cd "$here" && $CC -I"$root" -I"$here" "$@" -o "$program" -lbearssl) && "$program"
}

build_cxx() {
	compiler=$1 program=$out/$2
	shift 2
	(cd "$here" && $compiler -I"$root" -I"$here" "$@" -x none -o "$program" -lbearssl) && "$program"
}

object() {
	target=$out/$1
	shift
	(cd "$here" && $CC -I"$root" "$@" -c -o "$target")
}

# ---- inclusion ----

strict="-std=c99 $warnings"
# shellcheck disable=SC2086
{
	check 'included twice, with and without the implementation' build twice $strict twice.c
	check 'plain include, then the implementation, in one file' build late $strict late.c
	check 'implementation in one file, plain include in another' build pair $strict impl.c user.c
	check 'two files with COMPSHARE_STATIC' build statics $strict static_a.c static_b.c
}

# ---- jsmn ----

# jsmn NAME WHEN SWITCH...: a program with its own jsmn under these switches.
jsmn() {
	label=$1 when=$2
	shift 2
	defines='' code='' bare=''
	for switch in "$@"; do
		case $switch in
			STATIC) defines="$defines -DJSMN_STATIC -DEXPECT_STATIC" ;;
			HEADER) defines="$defines -DJSMN_HEADER -DEXPECT_HEADER" code=jsmn_code.c ;;
			STRICT) defines="$defines -DJSMN_STRICT -DEXPECT_STRICT" bare="$bare -DJSMN_STRICT" ;;
			LINKS) defines="$defines -DJSMN_PARENT_LINKS -DEXPECT_LINKS" bare="$bare -DJSMN_PARENT_LINKS" ;;
		esac
	done
	# shellcheck disable=SC2086
	check "its own jsmn: $label" jsmn_build "$when" "$defines" "$code" "$bare"
}

jsmn_build() {
	objects=''
	if [ -n "$3" ]; then
		# shellcheck disable=SC2086
		object jsmn_code.o -std=c99 $4 "$3" || return 1
		objects=$out/jsmn_code.o
	fi
	# shellcheck disable=SC2086
	build jsmn -std=c99 -Wall -Wextra $1 $2 jsmn_own.c $objects
}

for when in -DBEFORE -DAFTER '-DBEFORE -DAFTER'; do
	where=$(echo "$when" | sed 's/-D//g; s/ / and /' | tr '[:upper:]' '[:lower:]')
	jsmn "$where, no switch" "$when"
	for switch in STATIC HEADER STRICT LINKS; do
		jsmn "$where, $switch" "$when" $switch
	done
	jsmn "$where, STATIC STRICT LINKS" "$when" STATIC STRICT LINKS
	jsmn "$where, HEADER STRICT LINKS" "$when" HEADER STRICT LINKS
done

# ---- a system header first ----

# refused WORDS ARGUMENTS...: does not compile, and the first error has these words
refused() {
	words=$1
	shift
	if object refused.o "$@" 2>"$out/refused.txt"; then
		echo 'it compiles'
		return 1
	fi
	grep 'error' "$out/refused.txt" | head -n 1 | grep "$words" || {
		cat "$out/refused.txt"
		return 1
	}
}

stdio_refused() {
	refused 'compshare.h: a system header hid POSIX' -std=c99 stdio_first.c
}
if [ "$(uname -s)" = Linux ]; then
	check '<stdio.h> first under -std=c99: our #error comes first' stdio_refused
else
	skip '<stdio.h> first under -std=c99' 'hides nothing here'
fi
if echo '#include <features.h>
__GLIBC__' | $CC -E -x c - 2>/dev/null | tail -n 1 | grep -q '^[0-9]'; then
	for macro in _POSIX_C_SOURCE=200112L _POSIX_C_SOURCE=199506L _POSIX_C_SOURCE _XOPEN_SOURCE=600 _XOPEN_SOURCE=500; do
		check "-D$macro: our #error names the value" refused 'compshare.h: _POSIX_C_SOURCE .*200809L' -std=c99 "-D$macro" impl.c
	done
else
	skip 'an older POSIX' 'hides nothing here'
fi
for macro in _POSIX_C_SOURCE=200809L _XOPEN_SOURCE=700 '_POSIX_C_SOURCE=200112L -D_GNU_SOURCE'; do
	# shellcheck disable=SC2086
	check "-D$macro" object newer.o $strict -D$macro impl.c
done
check 'no way to keep SIGPIPE away: our #error says what to do' refused 'compshare.h: .*SIGPIPE.*COMPSHARE_NO_SOCKETS' -std=gnu99 no_nosignal.c
check 'too few parameters for the typed calls' refused 'compshare__assert_params' -std=c99 -DCOMPSHARE_MAX_PARAMS=5 impl.c
check 'macros of the names of socket functions in front of it' build macros -std=gnu99 macros.c
check 'without sockets, what is missing is named' build bare_config -std=c99 -DCOMPSHARE_NO_SOCKETS bare_config.c
check 'the same without sockets' build macros_bare -std=c99 -DCOMPSHARE_NO_SOCKETS macros.c
check '<stdio.h> first with _POSIX_C_SOURCE' build stdio_posix -std=c99 -D_POSIX_C_SOURCE=200809L stdio_first.c
check '<stdio.h> first with _GNU_SOURCE' build stdio_gnu -std=c99 -D_GNU_SOURCE stdio_first.c
check '<stdio.h> first under -std=gnu99' build stdio_gnu99 -std=gnu99 stdio_first.c
check '<stdio.h> first without sockets' object stdio_bare.o -std=c99 -DCOMPSHARE_NO_SOCKETS stdio_first.c

# ---- languages ----

warns_not() {
	(cd "$here" && $1 -I"$root" "$2" -O2 -Wall -Wextra "$3" -Werror -x "$4" -c impl.c -o "$out/warns.o")
}

for std in c99 c11 c17 gnu99 gnu17; do
	# shellcheck disable=SC2086
	check "-std=$std" build "std-$std" -std=$std $warnings impl.c user.c
done
# shellcheck disable=SC2086
check 'optimized, all warnings' build optimized -std=c99 -O2 $warnings impl.c user.c

# Warnings that one compiler has and the other does not. WARNING LANGUAGE: of those that know it.
for warning in 'logical-op c99' 'implicit-fallthrough c99' 'useless-cast c++11' 'logical-op c++11' 'implicit-fallthrough c++11'; do
	std=${warning#* } warning=-W${warning% *}
	case $std in c++*) language=c++ known="$CXX clang++" ;; *) language=c known="$CC clang" ;; esac
	for compiler in $known; do
		if ! echo 'int compshare_test_not_empty;' | $compiler -Werror "$warning" -x $language -c -o "$out/known.o" - 2>/dev/null; then
			skip "$compiler $warning" 'not known or not installed'
			continue
		fi
		check "$compiler -std=$std $warning" warns_not "$compiler" "-std=$std" "$warning" "$language"
	done
done

cxx_over_c() {
	object impl_c.o -std=c99 impl.c &&
		(cd "$here" && $1 -I"$root" -std=c++11 -Wall -Wextra -x c++ user.c -x none "$out/impl_c.o" -o "$out/cxx_over_c" -lbearssl) &&
		"$out/cxx_over_c"
}

compilers=$CXX
if command -v clang++ >/dev/null 2>&1 && [ "$CXX" != clang++ ]; then
	compilers="$CXX clang++"
fi
for compiler in $compilers; do
	if ! command -v "$compiler" >/dev/null 2>&1; then
		skip "$compiler" 'not installed'
		continue
	fi
	for std in c++11 c++17 c++20; do
		# shellcheck disable=SC2086
		check "$compiler -std=$std, both halves" build_cxx "$compiler" cxx -std=$std $cxx_warnings -x c++ impl.c user.c
	done
	# shellcheck disable=SC2086
	check "$compiler, COMPSHARE_STATIC" build_cxx "$compiler" cxx_static -std=c++11 $cxx_warnings -x c++ static_a.c static_b.c
	# shellcheck disable=SC2086
	check "$compiler uses an implementation compiled as C" cxx_over_c "$compiler"
done

# ---- symbols ----

exports() {
	object "$1" $2 -DCOMPSHARE_IMPLEMENTATION -x c "$root/compshare.h" || return 1
	nm -g "$out/$1" | awk 'NF == 3 { print $3 }' | sed 's/^_compshare/compshare/' | sort >"$out/$1.exports"
}

only_public() {
	exports exports.o '' || return 1
	[ -s "$out/exports.o.exports" ] || return 1
	! grep -v '^compshare_[a-z]' "$out/exports.o.exports" || return 1
	# every function of the public half is there
	sed -n '/^#ifndef COMPSHARE_H/,/^#endif \/\* COMPSHARE_H/s/^COMPSHARE_API .*[ *]\(compshare_[a-z_]*\)(.*/\1/p' "$root/compshare.h" | sort >"$out/declared"
	[ -s "$out/declared" ] && diff "$out/declared" "$out/exports.o.exports"
}
check 'the object exports the public functions and nothing else' only_public

no_export() {
	exports static.o -DCOMPSHARE_STATIC && [ ! -s "$out/static.o.exports" ] || { cat "$out/static.o.exports"; return 1; }
}
check 'with COMPSHARE_STATIC it exports nothing' no_export

freestanding() {
	object bare.o -O2 -std=c99 -DCOMPSHARE_NO_SOCKETS -fno-stack-protector -U_FORTIFY_SOURCE -fno-builtin-bcmp impl.c || return 1
	nm -u "$out/bare.o" | awk '{ print $NF }' >"$out/bare.undefined"
	grep -q '^_*br_' "$out/bare.undefined" &&
		! grep -Ev '^_?(br_[a-z0-9_]+|memcpy|memmove|memset|memcmp|strlen|_GLOBAL_OFFSET_TABLE_)$' "$out/bare.undefined"
}
check 'COMPSHARE_NO_SOCKETS needs BearSSL and five functions of string.h' freestanding

read_only() {
	object globals.o -O2 -std=c99 impl.c || return 1
	nm "$out/globals.o" | awk 'NF == 3 && $2 ~ /^[BbCDGgSs]$/ { print; bad = 1 } END { exit bad }'
}
check 'no variable that changes' read_only

# ---- macros ----

# macros FILE FLAGS...: the names defined at the end of a file
macros() {
	(cd "$here" && $CC -I"$root" -std=c99 -D_POSIX_C_SOURCE=200809L -dM -E "$@") | awk '{ sub(/\(.*/, "", $2); print $2 }' | sort -u
}

# What the implementation includes, jsmn excepted, without compshare.h.
sed -n 's/^#include \(<.*>\)$/#include \1/p' "$root/compshare.h" | grep -v jsmn >"$out/system.c"
sed -n '/^#endif \/\* COMPSHARE_H/q; s/^#include \(<.*>\)$/#include \1/p' "$root/compshare.h" >"$out/public_system.c"

clean_macros() {
	macros "$2" >"$out/before"
	macros "$1" >"$out/after"
	grep -q '^COMPSHARE_OK$\|^COMPSHARE_VERSION$' "$out/after" || return 1
	! comm -13 "$out/before" "$out/after" | grep -v '^COMPSHARE' || return 1
	! comm -23 "$out/before" "$out/after" | grep .
}
echo '#include "compshare.h"' >"$out/plain.c"
check 'the public half leaves COMPSHARE macros only' clean_macros "$out/plain.c" "$out/public_system.c"
check 'the implementation leaves COMPSHARE macros only' clean_macros impl.c "$out/system.c"
macros impl.c | sed -n 's/^COMPSHARE__/# private, still defined: COMPSHARE__/p'

# ---- switches ----

echo '#include "compshare.h"
typedef int compshare_test_not_empty;' >"$out/include.c"
for implementation in '' -DCOMPSHARE_IMPLEMENTATION; do
	for static in '' -DCOMPSHARE_STATIC; do
		for sockets in '' -DCOMPSHARE_NO_SOCKETS; do
			for plaintext in '' -DCOMPSHARE_PLAINTEXT; do
				for table in '' -DCOMPSHARE_NO_ACTION_TABLE; do
					for params in '' -DCOMPSHARE_MAX_PARAMS=16; do
						switches=$(echo $implementation $static $sockets $plaintext $table $params)
						# static functions without bodies: gcc says so, whatever the header does
						quiet=''
						[ -n "$implementation" ] || [ -z "$static" ] || quiet=-Wno-unused-function
						# shellcheck disable=SC2086
						check "switches: $(echo "${switches:-none}" | sed 's/-DCOMPSHARE_//g')" object switches.o -std=c99 $warnings $quiet $switches "$out/include.c"
					done
				done
			done
		done
	done
done

# Reported only: what stricter programs compile with.
for extra in -Wsign-conversion -Wundef -Wcast-qual; do
	object extra.o -std=c99 -O2 $extra impl.c 2>"$out/extra.txt" || :
	echo "# $extra: $(grep -c 'warning: ' "$out/extra.txt") warnings"
	grep 'warning: ' "$out/extra.txt" | sed -e "s|$root/||" -e 's/^/#   /' -e 5q
done

# ---- the manual's first program ----

first_program() {
	{
		printf '#define COMPSHARE_IMPLEMENTATION\n#include "compshare.h"\n'
		sed -n '/A FIRST RESULT/,/COMPSHARE_OK means more than that/p' "$root/compshare.h" | sed -n 's/^       //p'
	} >"$out/prog.c"
	grep -q 'compshare_open(&client, &config)' "$out/prog.c" && [ "$(wc -l <"$out/prog.c")" -gt 25 ]
}

# The keys are not set, so that it has to say which one is missing.
runs_without_keys() {
	said=$("$1")
	[ $? -eq 1 ] && [ "$said" = 'public_key: it is missing' ] || { echo "it said: $said"; return 1; }
}

manual_plain() {
	first_program && (cd "$root" && $CC "$out/prog.c" -lbearssl -I. -o "$out/prog") && runs_without_keys "$out/prog"
}
check "the manual's first program: cc prog.c -lbearssl -I." manual_plain

manual_alone() {
	mkdir -p "$out/alone" && cp "$root/compshare.h" "$out/prog.c" "$out/alone/" &&
		(cd "$out/alone" && $CC -std=c99 -Wall -Wextra -Wpedantic -Werror prog.c -lbearssl -o prog) && runs_without_keys "$out/alone/prog"
}
check 'the same, with compshare.h copied beside it' manual_alone

manual_cxx() {
	sed 's/= {0};/= {};/' "$out/prog.c" >"$out/prog.cc"
	(cd "$root" && $CXX -std=c++11 -Wall -Wextra -Werror -I. "$out/prog.cc" -lbearssl -o "$out/prog_cxx") && runs_without_keys "$out/prog_cxx"
}
if command -v "$CXX" >/dev/null 2>&1; then
	check 'the same as C++11' manual_cxx
else
	skip 'the same as C++11' "$CXX is not installed"
fi

echo "1..$count"
[ "$failed" -eq 0 ]
