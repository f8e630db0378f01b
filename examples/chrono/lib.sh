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

# Of the database: DATABASE_URL says which; PLACE/postgres/sockets is where its server listens.
query() {
  PGCONNECT_TIMEOUT=5 psql -XAtq -v ON_ERROR_STOP=1 "$@"
}

# Statements on standard input, as whoever runs the server of the place `$1`. Further arguments are psql's.
as_owner() {
  local as=()
  if [ "$(id -u)" = 0 ]; then as=(setpriv --reuid=postgres --regid=postgres --init-groups); fi
  (cd / && PGCONNECT_TIMEOUT=5 "${as[@]}" psql -Xq -v ON_ERROR_STOP=1 -h "$1/postgres/sockets" -d postgres "${@:2}")
}

# Sets `role`, `database` and, for the database `$1` of the same server, `url`.
read_url() {
  [[ $DATABASE_URL =~ ^(postgresql://([^:@/]+)[^?]*/)([^/?]+)(\?.*)?$ ]] || fail "DATABASE_URL is no postgresql://USER:…@…/NAME"
  # shellcheck disable=SC2034
  role=${BASH_REMATCH[2]} database=${BASH_REMATCH[3]} url=${BASH_REMATCH[1]}$1${BASH_REMATCH[4]}
}

# A query that tells each table with the number of its rows and a sum over the hashes of what they hold.
# shellcheck disable=SC2034
census="select coalesce(string_agg(format('%s: %s', table_name, (xpath('/row/told/text()', query_to_xml(format(
  'select format(''%%s rows, %%s'', count(*), coalesce(sum(hashtextextended(t::text, 0)), 0)) as told from %I.%I t',
  table_schema, table_name), false, true, '')))[1]), '; ' order by table_schema, table_name), 'no tables')
  from information_schema.tables
  where table_type = 'BASE TABLE' and table_schema not in ('pg_catalog', 'information_schema');"
