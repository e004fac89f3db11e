#!/bin/bash
# ship.sh BUILD_DIR: what is shipped with compshare-schedule: manual page, completions,
# installed files, the static file and its figures, the files of a release. TAP. What this
# machine has no program for is skipped.
set -u
build=$1
here=$(cd "$(dirname "$0")/../.." && pwd)
man=$here/examples/tools/compshare-schedule.1
certs=$build/tests/certs
most_bytes=${SHIP_MOST_BYTES:-262144}       # 256 KB
most_kib=1024
work=$(mktemp -d)
pids=''
trap 'kill $pids 2>/dev/null; rm -rf "$work"' EXIT
n=0
for variable in $(env | sed -n 's/^\(COMPSHARE_[A-Z_]*\|[A-Za-z]*_PROXY\|[a-z]*_proxy\|SSL_CERT_FILE\)=.*/\1/p'); do unset "$variable"; done

# report FINE NAME: FINE is the exit status of what was checked; $work/log is shown if it failed
report() {
    n=$((n + 1))
    if [ "$1" -eq 0 ]; then echo "ok $n - $2"
    else
        echo "not ok $n - $2"
        sed 's/^/# /' "$work/log"
    fi
    : >"$work/log"
}

skip() {
    n=$((n + 1))
    echo "ok $n - $1 # SKIP $2"
}

# silent COMMAND...: succeeds, and says nothing
silent() {
    "$@" >"$work/log" 2>&1 </dev/null && [ ! -s "$work/log" ]
}

have() {
    command -v "$1" >/dev/null 2>&1
}

# matches PATTERN COMMAND...: its exit status is 0, and a line of its output matches
matches() {
    pattern=$1
    shift
    timeout 60 "$@" >"$work/log" 2>&1 </dev/null && grep -q -e "$pattern" "$work/log"
}

: >"$work/log"

# ---- the manual page ----

invoke_man=$here/examples/tools/compshare-invoke.1
if have mandoc; then
    silent mandoc -Tlint "$man" "$invoke_man"
    report $? 'manual page: mandoc finds nothing'
else skip 'manual page: mandoc' 'no mandoc'; fi
if have groff; then
    groff -man -ww -Tutf8 "$man" 2>"$work/log" >"$work/page" && [ ! -s "$work/log" ] && [ "$(wc -l <"$work/page")" -gt 300 ]
    report $? 'manual page: groff warns of nothing'
else skip 'manual page: groff' 'no groff'; fi

# The program's own tables say what there is.
tool=$here/examples/tools
options=$(cat "$tool/schedule.h" "$tool/options.h" | sed -n '/^#define [A-Z_]*OPTIONS(X)/,/^$/s/^ *X([A-Z_]*, "\([a-z-]*\)",.*/\1/p')
verbs=$(sed -n '/verbs\[\] = {/,/^};/p' "$tool/schedule.h" | grep -o '{ "[a-z]*"' | tr -d '{ "')
for option in $options; do
    grep -q -e "Fl -$option\>\|, -$option\>\|| -$option\>" "$man" || echo "the manual page lacks --$option"
    grep -q -e "--$option\>" "$here/examples/completion/compshare-schedule.bash" || echo "bash lacks --$option"
    grep -q -e "--$option\>" "$here/examples/completion/_compshare-schedule" || echo "zsh lacks --$option"
done >"$work/log"
for verb in $verbs; do
    grep -q "^.Cm $verb$\|It Cm $verb$" "$man" || echo "the manual page lacks $verb"
done >>"$work/log"
[ "$(echo "$options" | wc -l)" -gt 30 ] && [ "$(echo "$verbs" | wc -l)" -ge 7 ] && [ ! -s "$work/log" ]
report $? 'manual page and completions have every verb and option'
for option in $(cat "$tool/compshare-invoke.c" "$tool/options.h" | sed -n '/^#define [A-Z_]*OPTIONS(X)/,/^$/s/^ *X([A-Z_]*, "\([a-z-]*\)",.*/\1/p'); do
    grep -q -e "Fl -$option\>" "$invoke_man" || echo "the manual page lacks --$option"
    for file in compshare-invoke.bash _compshare-invoke; do
        grep -q -e "--$option\>" "$here/examples/completion/$file" || echo "$file lacks --$option"
    done
done >"$work/log"
[ ! -s "$work/log" ]
report $? 'compshare-invoke: manual page and completions have every option'

# ---- completion ----

# shellcheck disable=SC1091
. "$here/examples/completion/compshare-schedule.bash"
# completes EXPECTED WORD...: what is completed is the last word
completes() {
    expected=$1
    shift
    # shellcheck disable=SC2034
    COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
    _compshare_schedule
    echo "$*: ${COMPREPLY[*]}" >"$work/log"
    case " ${COMPREPLY[*]} " in *" $expected "*) true ;; *) false ;; esac
}
c=compshare-schedule
completes 'set show audit extend cancel run doctor' $c '' && completes run $c r && completes set $c --region cn s && completes doctor $c --lang = zh d
report $? 'bash: verbs, behind options too'
completes 'grace stop cancel keep restore' $c run --on-exit '' && completes keep $c run --on-exit = k && completes 'en zh' $c --lang '' && completes 'USR1 USR2' $c run self --signal U
report $? 'bash: values'
completes --only-extend $c set --only && ! completes --ttl $c set -- && completes --ttl $c run -- && completes --yes $c cancel x -- && completes --json $c show --
report $? 'bash: the options of each verb'
completes self $c run '' && ! completes self $c audit '' && completes /etc/passwd $c run self -- ls /etc/pass && ! completes --ttl $c run self -- ls --t
report $? 'bash: instances, and the command behind --'

if have zsh; then
    cat >"$work/zpty" <<'Z'
# zpty FILES LINE: what zsh offers for a line, one word a line
zmodload zsh/zpty
zpty shell zsh -f -i
say() { zpty -w shell "$1"; }
say "PS1='go%%on '; stty cols 200; fpath=($1 \$fpath); autoload -Uz compinit; compinit -u -D; LISTMAX=9999; zstyle ':completion:*' menu no"
say 'compadd() { local -a offered; if [[ ${@[1,(i)(-|--)]} != *-(O|A|D)\ * ]]; then builtin compadd -A offered "$@"; print -l -- "OFFERED:"$^offered; fi; builtin compadd "$@"; }'
say 'print READY-$((1+1))'
integer tries=0
# the prompt behind it: only then keys reach the shell's editor, and no longer the terminal's
while zpty -r shell line '*READY-2*go%on*' && [[ $line != *READY-2*go%on* ]] && (( tries++ < 100 )) { }
zpty -n -w shell "compshare-schedule $2"$'\t'$'\x15print DONE-$((1+1))\n'
tries=0
while zpty -r shell line; do
    print -r -- $line
    [[ $line == *DONE-2* ]] && break
done
zpty -d shell
Z
    # offers LINE WORD...
    offers() {
        line=$1
        shift
        timeout 60 zsh -f "$work/zpty" "$here/examples/completion" "$line" 2>&1 | tr '\r' '\n' | grep -o 'OFFERED:[^ ]*' >"$work/log"
        for word in "$@"; do grep -qx -e "OFFERED:$word" "$work/log" || return 1; done
    }
    offers '' set show audit extend cancel run doctor
    report $? 'zsh: verbs'
    offers 'run --on-exit ' grace stop cancel keep && offers 'run x --signal=' USR1 USR2 && offers '--lang ' en zh
    report $? 'zsh: values'
    offers 'set --' --only-extend --in --all --json && ! offers 'set --' --ttl && offers 'run --' --ttl --on-exit
    report $? 'zsh: the options of each verb'
    offers 'run self -- mkfi' mkfifo
    report $? 'zsh: the command behind --'
else skip 'zsh' 'no zsh'; fi

# ---- make install ----

make -C "$here" -s install BUILD="$(cd "$build" && pwd)" DESTDIR="$work/root" PREFIX=/opt/c >"$work/log" 2>&1
(cd "$work/root" 2>/dev/null && find . -type f | sort) >"$work/files"
cat >"$work/wanted" <<'F'
./opt/c/bin/compshare-invoke
./opt/c/bin/compshare-schedule
./opt/c/bin/stop_scheduler
./opt/c/include/compshare.h
./opt/c/share/bash-completion/completions/compshare-invoke
./opt/c/share/bash-completion/completions/compshare-schedule
./opt/c/share/doc/compshare-schedule/compshare-lease.service
./opt/c/share/doc/compshare-schedule/compshare-schedule.service
./opt/c/share/doc/compshare-schedule/compshare-schedule.timer
./opt/c/share/doc/compshare-schedule/crontab
./opt/c/share/man/man1/compshare-invoke.1
./opt/c/share/man/man1/compshare-schedule.1
./opt/c/share/zsh/site-functions/_compshare-invoke
./opt/c/share/zsh/site-functions/_compshare-schedule
F
diff "$work/wanted" "$work/files" >>"$work/log"
report $? 'make install puts every file in its place'
grep -r /usr/local "$work/root/opt/c/share" >"$work/log"
[ $? -eq 1 ]
report $? 'make install writes the prefix into them'
cp -r "$work/root" "$work/again"
make -C "$here" -s uninstall DESTDIR="$work/again" PREFIX=/opt/c >"$work/log" 2>&1
find "$work/again" -type f >>"$work/log"
[ ! -s "$work/log" ]
report $? 'make uninstall leaves no file'

if have systemd-analyze; then
    mkdir "$work/units"
    for unit in compshare-schedule.service compshare-schedule.timer compshare-lease.service; do
        sed "s|/opt/c|$work/root/opt/c|g" "$work/root/opt/c/share/doc/compshare-schedule/$unit" >"$work/units/$unit"
    done
    silent systemd-analyze verify --man=no "$work/units"/*
    report $? 'systemd finds nothing in the units'
else skip 'systemd' 'no systemd-analyze'; fi

if have python3; then
    python3 "$here/tests/tool/lease_svg.py" en | diff - "$here/examples/lease.svg" >"$work/log" && python3 "$here/tests/tool/lease_svg.py" zh | diff - "$here/examples/lease.zh-CN.svg" >"$work/log"
    report $? 'the picture is what its script draws'
else skip 'the picture' 'no python3'; fi

# ---- against the gateway ----

"$build/tests/gateway" --cert "$certs/ec-chain.pem" --key "$certs/ec-key.pem" --port-file "$work/ports" --instances 12 &
pids="$pids $!"
tries=0
until [ -s "$work/ports" ] || [ $tries -eq 100 ]; do tries=$((tries + 1)); sleep 0.1; done
port=$(sed -n 's/^port=//p' "$work/ports")
control=$(sed -n 's/^control=//p' "$work/ports")
secret=46f09bb9fab4f12dfc160dae12273d5332b5debe
export COMPSHARE_BASE_URL="https://localhost:$port" COMPSHARE_PUBLIC_KEY=ucloudsomeone@example.com1296235120854146120 COMPSHARE_PRIVATE_KEY=$secret
export COMPSHARE_CA_FILE="$certs/roots.pem"
# tell NAME=VALUE: an option of the gateway
tell() {
    exec 3<>"/dev/tcp/127.0.0.1/$control" && printf 'GET /set?%s HTTP/1.0\r\n\r\n' "$1" >&3 && cat <&3 >/dev/null
    exec 3<&-
}

# The lines of the installed examples do what they say.
status=0
tell instances=12
sed -n 's/^ExecStart=//p' "$work/root/opt/c/share/doc/compshare-schedule/compshare-schedule.service" | sed "s|/opt/c|$work/root/opt/c|" >"$work/lines"
grep -c . "$work/lines" >"$work/log"
while read -r line; do timeout 60 sh -c "$line" >>"$work/log" 2>&1 </dev/null || status=1; done <"$work/lines"
[ $status -eq 0 ] && grep -q '10 done, 0 failed' "$work/log" && grep -q ' 0 run pay-as-you-go without' "$work/log"
report $? 'the unit: every instance has a timed shutdown, and audit finds none'
tell instances=12
sed -n 's/^[0-9*][^ ]* [^ ]* [^ ]* [^ ]* [^ ]*  *//p' "$work/root/opt/c/share/doc/compshare-schedule/crontab" | sed "s|/opt/c|$work/root/opt/c|" >"$work/lines"
: >"$work/log"
tell name.uhost-0004=dev-one
while read -r line; do timeout 60 sh -c "$line" >>"$work/log" 2>&1 </dev/null; done <"$work/lines"
[ "$(grep -c . "$work/lines")" -eq 3 ] && [ ! -s "$work/log" ]
report $? 'the crontab: nothing is mailed where all is well'
tell instances=12
timeout 60 sh -c "$(tail -n 1 "$work/lines")" >"$work/log" 2>&1 </dev/null
grep -q 'RUNS WITHOUT A TIMED SHUTDOWN' "$work/log"
report $? 'the crontab: audit mails what it has found'

# ---- the static file ----

static=$build/static/compshare-schedule
if ! have musl-gcc && ! ${CC:-cc} -dumpmachine | grep -q musl; then
    skip 'the static file' 'no musl'
elif CC=${CC:-cc} sh "$here/examples/static/build.sh" static "$build" "$certs/roots.pem" >"$work/log" 2>&1; then
    : >"$work/log"
    report 0 'make static'
    cp "$static" "$work/embedded"
    CC=${CC:-cc} sh "$here/examples/static/build.sh" static "$build" >"$work/log" 2>&1
    report $? 'make static without roots'
    bytes=$(wc -c <"$static")
    echo "# figure: static tool $bytes bytes (at most $most_bytes)"
    echo "$bytes bytes" >"$work/log"
    [ "$bytes" -le "$most_bytes" ]
    report $? 'its size'
    ! readelf -lW "$static" 2>/dev/null | grep -q 'INTERP\|DYNAMIC\|RWE'
    report $? 'it needs no loader, and no page of it is writable and executable'
    ${CC:-cc} -std=c99 -O1 -o "$work/peak" "$here/tests/tool/peak.c"
    # highest INSTANCES: of five times, as the kernel counts pages by the batch
    highest() {
        most=0
        tell "instances=$1"
        for _ in 1 2 3 4 5; do
            "$work/peak" "$static" show >"$work/out" 2>"$work/log" && [ "$(grep -c '^uhost-' "$work/out")" -eq "$1" ] || status=1
            [ "$(cat "$work/log")" -le "$most" ] || most=$(cat "$work/log")
        done
    }
    status=0
    highest 12
    peak=$most
    highest 300
    tell instances=12
    echo "# figure: peak resident set of show: $peak KiB, of 300 instances: $most KiB (at most $most_kib)"
    [ $status -eq 0 ] && [ "$peak" -gt 0 ] && [ "$peak" -lt $most_kib ] && [ "$most" -lt $most_kib ]
    report $? 'its peak resident set'
    strings "$static" "$work/embedded" | grep -e "$secret" -e "$here" -e "$(pwd)" -e 'ucloudsomeone' >"$work/log"
    [ $? -eq 1 ]
    report $? 'there is no key, password or path of this machine in it'

    # Nothing but the file: no /etc, no /tmp, no /proc. Without /etc/hosts and a name server
    # "localhost" has no address, so a proxy has to find it, as 127.0.0.1.
    if [ "$(id -u)" = 0 ] && have tinyproxy && have unshare; then
        proxy=$((20000 + $$ % 20000))
        printf 'Port %s\nListen 127.0.0.1\nAllow 127.0.0.1\nLogLevel Critical\n' $proxy >"$work/tinyproxy.conf"
        tinyproxy -d -c "$work/tinyproxy.conf" >/dev/null 2>&1 &
        pids="$pids $!"
        tries=0
        until (exec 3<>"/dev/tcp/127.0.0.1/$proxy") 2>/dev/null || [ $tries -eq 100 ]; do tries=$((tries + 1)); sleep 0.1; done
        mkdir "$work/scratch"
        cp "$work/embedded" "$work/scratch/compshare-schedule"
        alone=(env -u COMPSHARE_CA_FILE unshare --mount --pid --fork --root="$work/scratch" /compshare-schedule)
        matches '^uhost-0001 ' "${alone[@]}" show uhost-0001 --proxy "http://127.0.0.1:$proxy"
        report $? 'alone in an empty root: show, with the roots in it'
        matches 'built into' "${alone[@]}" doctor --proxy "http://127.0.0.1:$proxy"
        report $? 'alone in an empty root: doctor'
        matches '^compshare-schedule [0-9]' "${alone[@]}" run uhost-0001 --proxy "http://127.0.0.1:$proxy" -- /compshare-schedule --version
        report $? 'alone in an empty root, as process 1: run'
        mkdir "$work/scratch/etc"           # as every container runtime makes it
        echo '127.0.0.1 localhost' >"$work/scratch/etc/hosts"
        matches '^uhost-0001 ' "${alone[@]}" show uhost-0001
        report $? 'with /etc/hosts: show'
    else skip 'alone in an empty root' 'not root, or no tinyproxy'; fi
else
    report 1 'make static'
fi

# ---- the files of a release ----

if [ -s "$build/release/SHA256SUMS" ]; then
    (cd "$build/release" && sha256sum -c SHA256SUMS) >"$work/log" 2>&1 && [ "$(grep -c OK "$work/log")" -eq 3 ]
    report $? 'release: the sums are right'
    for machine in x86_64: arm64:qemu-aarch64 armhf:qemu-arm; do
        emulator=${machine#*:}
        file=$build/release/compshare-schedule-${machine%%:*}
        if [ -n "$emulator" ] && ! have "$emulator"; then skip "release: ${machine%%:*}" "no $emulator"; continue; fi
        [ -n "$emulator" ] || [ "$(uname -m)" = x86_64 ] || { skip 'release: x86_64' 'another machine'; continue; }
        tell instances=12
        # shellcheck disable=SC2086
        matches '^compshare-schedule [0-9]' $emulator "$file" --version && matches '^uhost-0001 .*no timed' $emulator "$file" show uhost-0001 &&
            matches 'off at 20[0-9-]* ' $emulator "$file" set uhost-0001 --in 2h && matches 'no timed' $emulator "$file" cancel uhost-0001
        report $? "release: ${machine%%:*} shows, sets and cancels"
        echo "# figure: release ${machine%%:*} $(wc -c <"$file") bytes"
        ! strings "$file" | grep -e "$here" -e "$secret" >"$work/log"
        report $? "release: ${machine%%:*} holds no path of this machine"
    done
else skip 'release' 'make release was not run'; fi
echo "1..$n"
