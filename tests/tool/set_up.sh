#!/bin/sh
# set_up.sh: what tests/scripts/setup.sh does where apt-get fails, with an apt-get that only
# pretends. TAP.
set -u
here=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
n=0 failed=0
mkdir "$work/bin"
# Notes each call; LISTS and PACKAGES: how often a lock is held before update or install
# works, or "broken".
cat >"$work/bin/apt-get" <<'F'
#!/bin/sh
echo "$*" >>"$WORK/calls"
case $* in *update*) how=$LISTS what=update ;; *) how=$PACKAGES what=install ;; esac
[ "$how" != broken ] || { echo "E: $what of https://foreign.example failed"; exit 100; }
[ "$(grep -c "$what" "$WORK/calls")" -gt "$how" ] || { echo "E: Could not get lock /var/lib/$what/lock."; exit 100; }
F
cat >"$work/bin/sudo" <<'F'
#!/bin/sh
exec "$@"
F
printf '#!/bin/sh\n' >"$work/bin/sleep"
chmod +x "$work/bin/apt-get" "$work/bin/sudo" "$work/bin/sleep"

# ends STATUS LISTS PACKAGES NAME: with CC=false every package is missing
ends() {
    : >"$work/calls"
    WORK=$work LISTS=$2 PACKAGES=$3 CC=false PATH="$work/bin:$PATH" sh "$here/tests/scripts/setup.sh" demo >"$work/out" 2>&1
    status=$?
    n=$((n + 1))
    if [ $status -eq "$1" ] && grep -q -e "$4" "$work/calls" "$work/out"; then echo "ok $n - $5"; return; fi
    failed=1
    echo "not ok $n - $5"
    { echo "status $status, not $1"; cat "$work/calls" "$work/out"; } | sed 's/^/# /'
}

ends 0 0 0 'libbearssl-dev' 'what is missing is installed'
ends 0 0 0 'DPkg::Lock::Timeout=300.*install' 'the lock of the package database is waited for'
ends 0 broken 0 'warning.*update' 'a source that cannot be read is a warning'
ends 1 0 broken 'install of https' 'a package that cannot be installed ends it, with what was said'
ends 1 broken broken 'install of https' 'the same where neither works'
ends 0 2 0 'update' 'the lock of the lists is waited for'
ends 0 0 2 'install' 'the lock of the archives is waited for'
ends 1 0 999999 'Could not get lock' 'a lock that is never given back ends it'
echo "1..$n"
exit $failed
