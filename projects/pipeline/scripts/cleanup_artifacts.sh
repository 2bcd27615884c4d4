#!/bin/sh
# Clean the runs of this pipeline by its project's policy. For cron, by its own path:
#
#     15 3 * * * PYTHON=/opt/venv/bin/python /srv/monorepo/projects/pipeline/scripts/cleanup_artifacts.sh
#
# PYTHON has tempkeep installed (else .venv in the project, else python3). BASE is the directory of
# the runs (else artifacts in the project). Arguments go to `python -m common.temp.pipeline`.
#
# Prints nothing if all went well, because cron mails what is printed. Each time is one line in
# cleanup.log beside the runs. The exit code is that of the clean: 0 done or nothing to do, 1 some
# run failed, 2 a bad argument or setting, 3 refused.
#
# It takes no lock. Two of them at once share the work, since each run is taken by one rename, and
# one that hangs on a dead disk keeps nobody from cleaning.
set -u

fail() {
    printf 'cleanup_artifacts.sh: %s\n' "$1" >&2
    exit 2
}

project=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd -P) || fail "cannot find the project"
[ -f "$project/pyproject.toml" ] ||
    fail "$project is not the project; call this script by its own path and not through a link"
cd -- "$project" || fail "cannot work in $project"

base=${BASE:-$project/artifacts}
[ -n "${BASE:-}" ] || [ -d "$base" ] || exit 0 # no run has been made yet

python=${PYTHON:-}
if [ -z "$python" ]; then
    python=$project/.venv/bin/python
    [ -x "$python" ] || python=python3
fi
command -v "$python" >/dev/null || fail "there is no $python; set PYTHON"

said=$("$python" -m common.temp.pipeline --base "$base" "$@" 2>&1)
code=$?

[ "$code" -eq 0 ] || printf '%s\n' "$said" >&2
if [ -d "$base" ]; then
    printf '%s exit %s: %s\n' "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$code" \
        "$(printf '%s\n' "$said" | tail -n 1)" >>"$base/cleanup.log" ||
        [ "$code" -ne 0 ] || code=1
fi
exit "$code"
