#!/bin/sh
# Runs a night for a scheduler that knows only success and failure (Kubernetes, Slurm, cron):
#   night.sh .venv/bin/python -m distill nightly drops=DIR root=DIR ...
# Promoted (10) and rejected (20) are successful nights, so they become 0. Failed (1), bad input (2) and locked by another
# night (75) stay as they are. systemd needs no such translation: SuccessExitStatus= in its unit.
set -u

PROMOTED=10
REJECTED=20

# The trap stands before the night begins: a signal that comes at once must not end this script alone.
night=
asked=
trap 'asked=yes; [ -z "$night" ] || kill -TERM "$night"' HUP INT TERM

# In the background, because a shell with a foreground child handles no signal before the child has ended.
"$@" &
night=$!
[ -z "$asked" ] || kill -TERM "$night"

# A signal ends the wait, not the night: wait again until it has really ended.
wait "$night"
status=$?
while kill -0 "$night" 2>/dev/null; do
    wait "$night"
    status=$?
done

case $status in
    "$PROMOTED" | "$REJECTED") exit 0 ;;
    *) exit "$status" ;;
esac
