#!/bin/sh
# The launcher: starts processes in the devbox container for the broker, which runs in another one.
#
#   launcher.sh IO_DIR         the container's command; serves requests until TERM
#   launcher.sh IO_DIR ID      one child's keeper; only the launcher itself calls this
#   launcher.sh IO_DIR ID run  one run's keeper
#
# Requests come as lines on IO_DIR/control:
#   spawn ID            run IO_DIR/ID/command on the named pipes IO_DIR/ID/{stdin,stdout,stderr}
#   run ID              the same for a command that outlives the broker which asked for it
#   signal ID NAME      send the signal to the child and to all that it started
#   eof ID              let go of the run's stdin: it ends with what the broker has written
#   reset TOKEN         kill every child, but no run; tell the runs that there are, then answer
#                       `ready TOKEN` when the children are gone
#   stop -              end everything, first gently, then itself; the launcher's own word on TERM
# Reports go as lines to IO_DIR/events:
#   ready TOKEN         (`ready -` when the launcher itself has started)
#   running ID
#   started ID PID
#   exited ID STATUS    (128 + the signal's number when a signal ended it)
#
# A run's keeper holds its pipes open, so that the run neither ends nor loses a byte while no broker
# is there; it writes the status to IO_DIR/ID/exit and stays until a line comes on IO_DIR/ID/taken:
# a pipe that nobody holds is gone with what lies in it.
#
# It needs nothing but a POSIX shell: no mkfifo (the broker makes the pipes), no files of its own.
# A child becomes the leader of a process group, so that a signal reaches what it started: by the
# shell's job control where that works without a terminal (bash, ksh), else by `setsid` (dash and
# busybox images have it), else the tree of its children is walked through /proc.
#
# Two processes: one serves, and the container's first one only waits for it. A shell that is about
# to block in `read` misses a TERM that comes in that very moment; in `wait` it does not.

GRACE_SECONDS=3 # between TERM and KILL when the pod goes; the broker's own stop is gentler
io=$1
shell=${RANVIER_SHELL:-/bin/sh}

# --- a child's keeper: a process of its own, for only a parent can wait for an exit status

keep() {
  dir=$io/$1
  if [ "$2" = run ]; then
    exec 5<>"$dir/stdout" 6<>"$dir/stderr" 7<>"$dir/taken" || exit 1
    [ -p "$dir/stdin" ] && exec 8<>"$dir/stdin" # a plain file has its end already
    trap 'exec 8<&-; interrupted=1' USR1
  fi
  set -m 2>/dev/null
  reach=group
  case $- in
    *m*) begin ;;
    *)
      if command -v setsid >/dev/null 2>&1; then
        begin setsid
      else
        reach=tree
        begin
      fi
      ;;
  esac
  pid=$!
  echo "$pid $reach" >"$dir/pid"
  echo "started $1 $pid" >&4
  await_exit
  if [ "$2" = run ]; then
    echo "$status" >"$dir/exit"
    echo "exited $1 $status" >&4
    until read -r _ <&7; do :; done
  else
    signal_child "$1" KILL # what it left behind in its group
    echo "exited $1 $status" >&4
  fi
}

begin() {
  "$@" "$shell" "$dir/command" <"$dir/stdin" >"$dir/stdout" 2>"$dir/stderr" \
    3<&- 4<&- 5<&- 6<&- 7<&- 8<&- &
}

await_exit() { # a signal to the keeper ends its `wait` early
  status=
  while :; do
    interrupted=
    wait "$pid" 2>/dev/null
    now=$?
    [ "$now" = 127 ] && [ -n "$status" ] || status=$now # 127: this shell has told it before
    [ -n "$interrupted" ] || return
  done
}

# --- signals

kill_tree() { # PID NAME: the children first, for a dead parent no longer names them
  [ "$2" = KILL ] && kill -STOP "$1" 2>/dev/null # or it starts others meanwhile
  kin=
  { read -r kin <"/proc/$1/task/$1/children"; } 2>/dev/null
  for kid in $kin; do (kill_tree "$kid" "$2"); done
  kill "-$2" "$1" 2>/dev/null
}

signal_child() { # ID NAME
  pid= reach=
  { read -r pid reach <"$io/$1/pid"; } 2>/dev/null
  case $pid in '' | *[!0-9]*) return ;; esac
  if [ "$reach" = tree ]; then
    kill_tree "$pid" "$2"
  else
    # setsid may not have run yet: then the child is not a group's leader, but alone.
    kill "-$2" "-$pid" 2>/dev/null || kill "-$2" "$pid" 2>/dev/null
  fi
}

# --- the launcher

children= # words ID:KEEPER_PID
runs=     # the same

forget_the_dead() {
  jobs >/dev/null 2>&1 # makes every shell reap
  keep_living $children
  children=$alive
  keep_living $runs
  runs=$alive
}

keep_living() {
  alive=
  for child in "$@"; do
    kill -0 "${child#*:}" 2>/dev/null && alive="$alive $child"
  done
}

spawn() {
  "$shell" "$0" "$io" "$1" &
  children="$children $1:$!"
}

run() {
  "$shell" "$0" "$io" "$1" run &
  runs="$runs $1:$!"
}

end_input() {
  for child in $runs; do
    [ "${child%:*}" = "$1" ] && [ -s "$io/$1/pid" ] && kill -USR1 "${child#*:}" 2>/dev/null
  done
}

tell_runs() {
  for child in $runs; do echo "running ${child%:*}" >&4; done
}

signal_all() { # NAME ID:KEEPER_PID…
  name=$1
  shift
  for child in "$@"; do
    # A keeper that has only just started writes the pid any moment now.
    until [ -s "$io/${child%:*}/pid" ] || ! kill -0 "${child#*:}" 2>/dev/null; do
      pause
      forget_the_dead
    done
    signal_child "${child%:*}" "$name"
  done
}

pause() { sleep 0.05 2>/dev/null || sleep 1; }

await_all() { # ID:KEEPER_PID…
  for child in "$@"; do wait "${child#*:}" 2>/dev/null; done
}

stop() {
  trap '' TERM INT
  trap - CHLD
  signal_all TERM $children $runs
  for child in $runs; do echo >"$io/${child%:*}/taken"; done # nobody will come for it
  { sleep "$GRACE_SECONDS"; signal_all KILL $children $runs; } </dev/null >/dev/null 2>&1 3<&- 4<&- &
  await_all $children $runs
  kill -KILL "$!" 2>/dev/null # it ignores TERM as this shell does
  exit 0
}

watch_over() { # what serves; as PID 1 it also reaps the orphans that agents leave, in `wait`
  exec 3<>"$io/control" 4<>"$io/events" || exit 1
  # Said once: a second `stop` would be read by the launcher that follows in the same pod.
  trap 'trap "" TERM INT; interrupted=1; echo "stop -" >&3' TERM INT
  serve &
  pid=$!
  await_exit
  exit "$status"
}

serve() {
  trap : TERM INT # one for the whole group: the process above says `stop`
  trap : CHLD     # ends the wait in `read`, so that the dead are reaped at once
  echo "ready -" >&4
  while :; do
    verb=
    IFS=' ' read -r verb id name rest <&3
    forget_the_dead
    case $id in '' | *[!A-Za-z0-9_-]*) continue ;; esac
    case $name in *[!A-Z0-9]*) continue ;; esac
    case $verb in
      spawn) spawn "$id" ;;
      run) run "$id" ;;
      signal) [ -n "$name" ] && signal_child "$id" "$name" ;;
      eof) end_input "$id" ;;
      stop) stop ;;
      reset)
        signal_all KILL $children
        await_all $children
        children=
        tell_runs
        echo "ready $id" >&4
        ;;
    esac
  done
}

if [ $# -ge 2 ]; then keep "$2" "${3-}"; else watch_over; fi
