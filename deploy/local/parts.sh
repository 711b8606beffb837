#!/usr/bin/env bash
# Kafka, schema registry, TimescaleDB and ClickHouse in a folder of their own, without Docker. README.md says more.
set -euo pipefail
# Physical paths: a process is known by the folder in its command line.
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)

usage() {
  cat <<'U'
usage: parts.sh COMMAND
  up [PART...]             install what is missing, start what is down, wait until all of it answers
  down [PART...]           stop
  status                   what runs, and where; exit 0 only if all is up
  reset --yes [PART...]    stop and delete the data (not the downloads)
  env                      the addresses as shell variables: eval "$(parts.sh env)"
  kafka-tool CLASS ARG...  a tool of Kafka, such as org.apache.kafka.tools.TopicCommand --bootstrap-server ... --list
  psql ARG...              psql in the TimescaleDB database
  clickhouse [SQL]         a statement for ClickHouse; from standard input if none is given
parts: kafka registry timescale clickhouse (all of them if none is named)
folder: TAPELINE_HOME, default ./.tapeline; ports: moved by TAPELINE_PORT_OFFSET
TAPELINE_BROKERS=3: three brokers, the parts kafka, kafka2 and kafka3
U
}

case ${1:-} in -h | --help | help) usage; exit;; esac
# shellcheck source=lib.sh
source "$HERE/lib.sh"
resolve
# shellcheck source=kafka.sh
source "$HERE/kafka.sh"
# shellcheck source=registry.sh
source "$HERE/registry.sh"
# shellcheck source=timescale.sh
source "$HERE/timescale.sh"
# shellcheck source=clickhouse.sh
source "$HERE/clickhouse.sh"

# choose PART...: those that are ours, in CHOSEN; says which are not.
choose() {
  local part
  if [ $# = 0 ]; then set -- "${PARTS[@]}"; fi
  CHOSEN=()
  for part; do
    [[ " ${PARTS[*]} " = *" $part "* ]] || die "there is no part \`$part\`: choose from ${PARTS[*]}"
    if external "$part"; then say "$part: yours, at $(shown "$part") (${VARIABLE[$part]}): left alone"; else CHOSEN+=("$part"); fi
  done
}
chosen() { [[ " ${CHOSEN[*]} " = *" $1 "* ]]; }

# One command at a time in a home.
lock() {
  mkdir -p "$TAPELINE_HOME" "$TAPELINE_CACHE"
  exec 9>"$TAPELINE_HOME/lock"
  flock -n 9 || { say "another parts.sh is at work in $TAPELINE_HOME: waiting"; flock 9; }
}

# each FUNCTION ARGUMENT...: FUNCTION ARGUMENT for all arguments at once; ends the command after all have ended if one
# failed. (It must not be called in a condition, where bash ignores failures within.)
each() {
  local function=$1 argument job failed=0 jobs=(); shift
  for argument; do ("$function" "$argument") & jobs+=($!); done
  for job in "${jobs[@]}"; do wait "$job" || failed=1; done
  if [ $failed = 1 ]; then exit 1; fi
}

# Names all that is missing at once, before anything is downloaded.
check_needs() {
  local part need missing=() packages=() wanted
  wanted=$(echo setsid flock tar grep awk; for part in "${CHOSEN[@]}"; do "${part}_needs"; done)
  for need in $(tr ' ' '\n' <<<"$wanted" | sort -u); do
    case $need in
      x86_64) [ "$(uname -sm)" = "Linux x86_64" ] || missing+=("Linux on x86_64 (this is $(uname -sm)): use docker-compose.yml");;
      debian-keyring) [ -f /usr/share/keyrings/debian-archive-keyring.gpg ] || { missing+=("Debian's archive keys"); packages+=(debian-archive-keyring); };;
      java) java_17 || { missing+=("java (17 or newer)"); packages+=(openjdk-17-jdk-headless); };;
      apt-get | dpkg-deb) command -v "$need" >/dev/null || missing+=("$need (Debian's own; elsewhere set TAPELINE_TIMESCALE_URL to a server of yours)");;
      *) command -v "$need" >/dev/null || { missing+=("$need"); packages+=("$(package_of "$need")"); };;
    esac
  done
  if [ ${#missing[@]} = 0 ]; then return; fi
  printf 'parts.sh: missing: %s\n' "${missing[@]}" >&2
  if [ ${#packages[@]} != 0 ]; then echo "On Debian: apt-get install $(printf '%s\n' "${packages[@]}" | sort -u | tr '\n' ' ')" >&2; fi
  exit 1
}
package_of() { case $1 in mvn) echo maven;; setsid | flock | unshare) echo util-linux;; awk) echo mawk;; *) echo "$1";; esac; }
java_17() {
  local major
  major=$(java -version 2>&1 | sed -nE 's/.* version "([0-9]+).*/\1/p') && [ "${major:-0}" -ge 17 ]
}

# A port that somebody else has: says who, and what to do.
check_ports() {
  local part port taken=0
  for part in "${CHOSEN[@]}"; do
    if pid_of "$part" >/dev/null; then continue; fi
    for port in $("${part}_ports"); do
      for _ in {1..10}; do listening "$port" || continue 2; sleep 0.1; done # one that was just killed still has its port
      printf 'parts.sh: %s: port %s is taken by %s: set TAPELINE_PORT_OFFSET (say 1000) to move all ports, or %s if that is a server of yours to use\n' \
        "$part" "$port" "$(holder "$port")" "${VARIABLE[$part]}" >&2
      taken=1
    done
  done
  if [ $taken = 1 ]; then exit 1; fi
}
holder() {
  local users; users=$(ss -Hltnp "sport = :$1" 2>/dev/null | sed -nE '1s/.*users:\(\("([^"]*)",pid=([0-9]+).*/\1 (pid \2)/p') || true
  echo "${users:-another process}"
}

is_up() { pid_of "$1" >/dev/null && "$1_ready"; }

start_line() { # the parts of one line, one after the other
  local part dir since
  for part in $1; do
    if ! chosen "$part"; then continue; fi
    dir=$TAPELINE_HOME/$part since=$SECONDS
    mkdir -p "$dir"
    : >"$dir/.tapeline" # says that the folder is ours to delete
    if ! pid_of "$part" >/dev/null; then "${part}_launch"; fi
    await "$part" 120
    "${part}_prepare"
    say "$part: up after $((SECONDS - since)) s, pid $(pid_of "$part")"
  done
}
stop_line() { local part; for part in $1; do if chosen "$part"; then stop "$part"; fi; done; }

up() {
  local part down=()
  choose "$@"
  if chosen registry && ! external kafka; then
    for part in "${BROKERS[@]}"; do chosen "$part" || CHOSEN+=("$part"); done
  fi
  lock
  for part in "${CHOSEN[@]}"; do
    if is_up "$part"; then "${part}_prepare"; else down+=("$part"); fi
  done
  if [ ${#down[@]} = 0 ]; then
    say "already up"
  else
    CHOSEN=("${down[@]}")
    check_needs
    check_ports
    each install "${CHOSEN[@]}"
    # Brokers beside each other: none of three answers before it has seen another one.
    each start_line "kafka registry" "${BROKERS[@]:1}" timescale clickhouse
  fi
  addresses
}

addresses() { local part; for part in kafka registry timescale clickhouse; do printf '  %-10s  %s\n' "$part" "$(shown "$part")"; done; }

down() {
  choose "$@"
  lock
  each stop_line "registry kafka" "${BROKERS[@]:1}" timescale clickhouse
  say "down"
}

reset() {
  [ "${1:-}" = --yes ] || die "reset deletes the data of the parts in $TAPELINE_HOME: say \`reset --yes\` if that is meant"
  shift
  local part DOOMED=yes
  down "$@"
  if chosen kafka && ! chosen registry && ! external registry; then CHOSEN+=(registry); stop registry; fi # its schemas are in Kafka
  for part in "${CHOSEN[@]}"; do
    if [ -f "$TAPELINE_HOME/$part/.tapeline" ]; then rm -rf "${TAPELINE_HOME:?}/$part"; say "$part: data deleted"; fi
  done
}

status() {
  local part state pid version all=0
  for part in "${PARTS[@]}"; do
    pid=- version=
    if external "$part"; then
      if reachable "${ADDRESS[$part]}"; then state=external; else state=unreachable all=1; fi
    elif pid=$(pid_of "$part"); then
      if "${part}_ready"; then state=up version=$("${part}_version"); else state="no answer" all=1; fi
    else
      state=down pid=- all=1
    fi
    printf '%-10s  %-11s  pid %-7s  %-50s  %s\n' "$part" "$state" "$pid" "$(shown "$part")" "$version"
  done
  return $all
}

print_env() {
  local part
  printf 'export TAPELINE_HOME=%q TAPELINE_PORT_OFFSET=%q\n' "$TAPELINE_HOME" "$TAPELINE_PORT_OFFSET"
  for part in "${PARTS[@]}"; do printf 'export %s=%q\n' "${VARIABLE[$part]}" "${ADDRESS[$part]}"; done
}

tool_kafka() {
  [ $# -gt 0 ] || die "kafka-tool: name a class, such as org.apache.kafka.tools.TopicCommand"
  [ -d "$KAFKA_LIBS" ] || die "kafka-tool: Kafka's tools are not installed: run \`parts.sh up kafka\` once without TAPELINE_KAFKA"
  kafka_tool "$@"
}
tool_psql() {
  local psql=$PG_BIN/psql
  [ -x "$psql" ] || psql=$(command -v psql) || die "psql: not installed: run \`parts.sh up timescale\`, or install psql"
  "$psql" "${ADDRESS[timescale]}" "$@"
}
tool_clickhouse() {
  local url=${ADDRESS[clickhouse]}
  if [ $# -gt 0 ]; then printf '%s' "$*"; else cat; fi |
    curl -sS --noproxy 127.0.0.1,localhost --fail-with-body --data-binary @- "${url%/}/?database=$DATABASE"
}

command=${1:-}
shift || true
case $command in
  up | down | reset) "$command" "$@";;
  status) status;;
  env) print_env;;
  kafka-tool) tool_kafka "$@";;
  psql) tool_psql "$@";;
  clickhouse) tool_clickhouse "$@";;
  *) usage >&2; exit 2;;
esac
