# shellcheck shell=bash
# Sourced by the scripts of this folder: a strict shell and the few words they share.
#
# Every commit of a release is made in a workspace: a bare repository of the run's own, without a working tree. Commits
# are written with plumbing (merge-tree, commit-tree, update-ref) and dated by the workspace, so that a stage that is
# killed leaves nothing half done, and one that is run again makes the same commit once more.
set -euo pipefail
shopt -s inherit_errexit

usage() {
  sed -n '2s/^# //p' "$0" >&2
  exit 2
}

fail() {
  printf '%s: %s\n' "${0##*/}" "$*" >&2
  exit 1
}

# Runs a command that talks to the remote; git's 128 (no connection, no such repository) becomes 75: try again later.
remotely() {
  local code=0
  "$@" || code=$?
  if [ "$code" -eq 128 ]; then code=75; fi
  return "$code"
}

# Hands a value to the stages that follow.
put() {
  printf '%s=%s\n' "$1" "$2" >>"${ENGINE_OUTPUT:-/dev/stdout}"
}

short() {
  printf '%.9s' "$1"
}

# Makes the workspace `$1` the repository that git works on.
enter() {
  [ -f "$1/opened" ] || fail "the workspace $1 is gone; make it again with \`engine resume --rerun open\`"
  local date
  date=$(cat "$1/opened")
  export GIT_DIR=$1 GIT_AUTHOR_DATE=$date GIT_COMMITTER_DATE=$date
}

# The version that the manifest `$2` has in the commit `$1`. It reads to the end: with pipefail a reader that leaves
# early would fail the writer.
version_in() {
  case $2 in
    Cargo.toml) git show "$1:$2" | awk -F'"' '/^\[/ {on = /^\[package\]/} on && /^version *=/ && !n++ {print $2}' ;;
    package.json) git show "$1:$2" | awk -F'"' '/^  "version" *:/ && !n++ {print $4}' ;;
  esac
}
