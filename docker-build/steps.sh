# Read by the test scripts: steps that are bounded in time, and a count of them.
#
#   step SECONDS NAME COMMAND...   a function or a program; says ok or FAILED
#   went_well                      whether the last step did
#   skip NAME WHY                  what cannot be had on this machine
#   finish                         the count; fails if a step did
#
# Of a step that went well its lines that begin with `- ` are shown, of one that
# failed the last forty. Not to be called where the shell ignores failures, such as
# before `||`: a step then would do so as well.
steps_last=0 steps_passed=0 steps_failed=0 steps_skipped=0
steps_log=$(mktemp)

step() {
    local limit=$1 name=$2 start=$SECONDS pid code=0
    shift 2
    # A process group of its own, so that all of a step ends at its limit.
    set -m
    (
        trap - EXIT
        set -euo pipefail
        "$@"
    ) </dev/null >"$steps_log" 2>&1 &
    pid=$!
    set +m
    while kill -0 "$pid" 2>/dev/null; do
        if ((SECONDS - start > limit)); then
            echo "took longer than $limit s" >>"$steps_log"
            kill -TERM -- "-$pid" 2>/dev/null || true
            sleep 2
            kill -KILL -- "-$pid" 2>/dev/null || true
            break
        fi
        sleep 0.1
    done
    wait "$pid" || code=$?
    if ((code == 0)); then
        steps_passed=$((steps_passed + 1))
        echo "ok      $name ($((SECONDS - start)) s)"
        sed -n 's/^- /        /p' "$steps_log"
    else
        steps_failed=$((steps_failed + 1))
        echo "FAILED  $name ($((SECONDS - start)) s, code $code)"
        tail -40 "$steps_log" | sed 's/^/        /'
    fi
    steps_last=$code
}

went_well() { ((steps_last == 0)); }

skip() {
    steps_skipped=$((steps_skipped + 1))
    echo "skipped $1: $2"
}

finish() {
    rm -f "$steps_log"
    echo "$steps_passed passed, $steps_failed failed, $steps_skipped skipped"
    ((steps_failed == 0 && steps_passed > 0))
}

# For steps: a claim that has to hold, and a command that has to fail with a word.
claim() {
    local what=$1
    shift
    "$@" || { echo "expected: $what" && exit 1; }
}

refused() {
    local word=$1 said code=0
    shift
    said=$("$@" 2>&1) || code=$?
    if ((code == 0)) || [[ $said != *"$word"* ]]; then
        echo "expected a refusal that says \"$word\", found code $code: $said: $*"
        exit 1
    fi
}
