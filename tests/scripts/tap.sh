# Sourced by scripts that speak TAP; $log is a file of theirs.

count=0
failed=0

# check NAME COMMAND...: one test; what the command said follows a failure.
check() {
    name=$1
    shift
    count=$((count + 1))
    if "$@" >"$log" 2>&1; then
        echo "ok $count - $name"
    else
        failed=$((failed + 1))
        echo "not ok $count - $name"
        sed -e 's/^/# /' -e 12q "$log"
        return 1
    fi
}

skip() {
    count=$((count + 1))
    echo "ok $count - $1 # SKIP $2"
}
