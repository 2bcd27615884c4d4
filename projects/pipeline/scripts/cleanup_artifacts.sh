#!/bin/sh
# Clean the runs of this pipeline by its project's policy. For cron, by its own path:
#
#     15 3 * * * PYTHON=/opt/venv/bin/python /srv/monorepo/projects/pipeline/scripts/cleanup_artifacts.sh
#
# PYTHON has tempkeep installed (else .venv in the project, else python3). BASE is the directory of
# the runs (else the project and artifacts in it, where there are some). Arguments go to
# `python -m common.temp.pipeline`.
#
# Prints nothing if all went well, because cron mails what is printed; that there are no runs, it
# says, and what a --dry-run or --help prints. Each time is one line in cleanup.log beside the runs.
# The exit code is that of the clean: 0 done or nothing to do, 1 some run failed, 2 a bad argument
# or setting, 3 refused.
#
# It takes no lock. Two of them at once share the work, since each run is taken by one rename, and
# one that hangs on a dead disk keeps nobody from cleaning.
set -u

fail() {
    printf 'cleanup_artifacts.sh: %s\n' "$1" >&2
    exit 2
}

# Whether the directory holds runs, or the archive of some.
holds_runs() {
    for run in "$1"/pipeline_artifacts_[0-9]*_[0-9]*/ "$1/archived_pipeline_runs/"; do
        [ -d "$run" ] && return 0
    done
    return 1
}

clean() {
    base=$1
    shift
    said=$("$python" -m common.temp.pipeline --base "$base" "$@" 2>&1)
    code=$?
    if [ "$code" -ne 0 ]; then
        printf '%s\n' "$said" >&2
    elif [ -n "$shows" ]; then
        printf '%s\n' "$said"
    fi
    if [ -d "$base" ]; then
        printf '%s exit %s: %s\n' "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$code" \
            "$(printf '%s\n' "$said" | tail -n 1)" >>"$base/cleanup.log" ||
            [ "$code" -ne 0 ] || code=1
    fi
    [ "$code" -le "$worst" ] || worst=$code
}

[ ! -L "$0" ] || fail "call this script by its own path and not through a link"
project=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd -P) || fail "cannot find the project"
cd -- "$project" || fail "cannot work in $project"

python=${PYTHON:-}
if [ -z "$python" ]; then
    python=$project/.venv/bin/python
    [ -x "$python" ] || python=python3
fi
command -v "$python" >/dev/null || fail "there is no $python; set PYTHON"

worst=0
found=
case " $* " in
*" --dry-run "* | *" --help "* | *" -h "*) shows=1 ;;
*) shows= ;;
esac
if [ -n "${BASE:-}" ]; then
    # One that is missing may be a disk that is not mounted: the clean says so.
    if holds_runs "$BASE" || [ ! -d "$BASE" ]; then
        found=$BASE
        clean "$BASE" "$@"
    fi
else
    for each in "$project" "$project/artifacts"; do
        if holds_runs "$each"; then
            found=$each
            clean "$each" "$@"
        fi
    done
fi
[ -n "$found" ] || printf 'cleanup_artifacts.sh: no runs in %s; set BASE if they are elsewhere\n' \
    "${BASE:-$project and $project/artifacts}"
exit "$worst"
