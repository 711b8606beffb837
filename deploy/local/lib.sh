# shellcheck shell=bash
# What the parts share: folders and addresses, messages, processes, downloads. Sourced by parts.sh.
# Each <part>.sh defines <part>_needs, _ports, _install, _launch, _ready, _prepare and _version.

PARTS=(kafka registry timescale clickhouse) # with TAPELINE_BROKERS=3 also kafka2 and kafka3
DATABASE=tapeline

# Progress: one line a step, with the seconds since the command began.
say() { printf '[%3d s] %s\n' "$SECONDS" "$*"; }
die() { printf 'parts.sh: %s\n' "$*" >&2; exit 1; }

# ---- folders, ports, addresses ----------------------------------------------------------------------------------------

resolve() {
  local offset=${TAPELINE_PORT_OFFSET:-0} part
  [[ $offset =~ ^[0-9]{1,4}$ ]] || die "TAPELINE_PORT_OFFSET is \`$offset\`: set it to a whole number from 0 to 9999"
  offset=$((10#$offset))
  KAFKA_PORT=$((19092 + offset)) REGISTRY_PORT=$((18081 + offset)) # of the first broker; broker_port has the others
  TIMESCALE_PORT=$((55432 + offset)) CLICKHOUSE_HTTP_PORT=$((18123 + offset)) CLICKHOUSE_TCP_PORT=$((19000 + offset))
  TAPELINE_PORT_OFFSET=$offset
  TAPELINE_HOME=$(realpath -m "${TAPELINE_HOME:-./.tapeline}")
  TAPELINE_CACHE=$(realpath -m "${TAPELINE_CACHE:-$TAPELINE_HOME/cache}")
  # Java property files, class paths and XML would each need their own quoting.
  [[ $TAPELINE_HOME$TAPELINE_CACHE =~ ^[A-Za-z0-9._/@+-]+$ ]] ||
    die "$TAPELINE_HOME: the parts need a folder whose path has only letters, digits and ._/@+- in it: set TAPELINE_HOME"

  local brokers=127.0.0.1:$KAFKA_PORT
  case ${TAPELINE_BROKERS:-1} in
    1) BROKERS=(kafka);;
    3)
      BROKERS=(kafka kafka2 kafka3) PARTS=(kafka kafka2 kafka3 registry timescale clickhouse)
      brokers=$brokers,127.0.0.1:$(broker_port kafka2),127.0.0.1:$(broker_port kafka3);;
    *) die "TAPELINE_BROKERS is \`$TAPELINE_BROKERS\`: set it to 1 or 3";;
  esac

  declare -gA VARIABLE=([kafka]=TAPELINE_KAFKA [kafka2]=TAPELINE_KAFKA [kafka3]=TAPELINE_KAFKA [registry]=TAPELINE_REGISTRY_URL
    [timescale]=TAPELINE_TIMESCALE_URL [clickhouse]=TAPELINE_CLICKHOUSE_URL)
  declare -gA OURS=([kafka]=$brokers [kafka2]=$brokers [kafka3]=$brokers [registry]=http://127.0.0.1:$REGISTRY_PORT/apis/ccompat/v7
    [timescale]=postgres://postgres@127.0.0.1:$TIMESCALE_PORT/$DATABASE [clickhouse]=http://127.0.0.1:$CLICKHOUSE_HTTP_PORT)
  declare -gA ADDRESS=()
  for part in "${PARTS[@]}"; do ADDRESS[$part]=${!VARIABLE[$part]:-${OURS[$part]}}; done
}

# Brokers: parts `kafka`, `kafka2`, `kafka3` with node ids 1 to 3, and two ports each.
node_of() { local node=${1#kafka}; echo "${node:-1}"; }
broker_port() { echo $((KAFKA_PORT + 2 * ($(node_of "$1") - 1))); }
controller_port() { echo $(($(broker_port "$1") + 1)); }

# The user's own server? Our own address in the variable (as `env` prints it) does not make it one.
external() { [ "${ADDRESS[$1]}" != "${OURS[$1]}" ]; }

# An address that can be shown: no password.
shown() { sed -E 's#//([^:/@]*):[^/@]*@#//\1:***@#' <<<"${ADDRESS[$1]}"; }

listening() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# Does a server accept connections at an address (a URL, or host:port[,host:port...])?
reachable() {
  local rest=$1 port=9092 servers one host
  case $rest in http://*) port=80;; https://*) port=443;; postgres*://*) port=5432;; esac
  rest=${rest#*://}; rest=${rest%%[/?]*}; rest=${rest##*@}
  IFS=, read -ra servers <<<"$rest"
  for one in "${servers[@]}"; do
    host=$one
    if [[ $one =~ ^(.*):([0-9]+)$ ]]; then host=${BASH_REMATCH[1]} port=${BASH_REMATCH[2]}; fi
    host=${host#[}; host=${host%]}
    # shellcheck disable=SC2016  # the inner shell expands them
    timeout 2 bash -c 'exec 3<>"/dev/tcp/$0/$1"' "$host" "$port" 2>/dev/null && return 0
  done
  return 1
}

# ---- processes --------------------------------------------------------------------------------------------------------

# Process id of a part that runs. Ids are used again by the system, so the command line must name the part's folder; that
# of a process which has ended and was not collected yet is empty.
pid_of() {
  local pid
  pid=$(cat "$TAPELINE_HOME/$1/pid" 2>/dev/null) || return 1
  [ -n "$pid" ] && grep -qszF "$TAPELINE_HOME/$1/" "/proc/$pid/cmdline" && echo "$pid"
}

# launch PART COMMAND...: runs it in a session of its own, so that neither Ctrl-C nor a closed terminal ends it. It writes
# its id before it becomes COMMAND: there is no moment in which it runs and nobody knows.
launch() {
  local part=$1 dir=$TAPELINE_HOME/$1; shift
  rm -f "$dir/pid"
  if [ -f "$dir/log" ]; then mv -f "$dir/log" "$dir/log.1"; fi
  # shellcheck disable=SC2016  # the inner shell expands them
  (cd "$dir" && exec setsid bash -c 'echo $$ >pid; exec "$@"' launch "$@") >"$dir/log" 2>&1 </dev/null 8>&- 9>&- &
  for _ in {1..50}; do [ -s "$dir/pid" ] && return; sleep 0.1; done
  die "$part: could not be started; see $dir/log"
}

# Before the command of a part that gives way to the others: a view that merges its rows must not make orders wait. Linux
# shares the cores among sessions first, where it groups them, and each part has one of its own.
# shellcheck disable=SC2016,SC2034  # the inner shell expands them; parts use it
GIVING_WAY=(bash -c '{ echo 10 >/proc/self/autogroup; } 2>/dev/null; exec nice -n 10 "$@"' giving-way)

# kept_classes NAME: the option with which a JVM starts faster, if the classes that an earlier one had loaded lie ready in the
# cache as NAME.jsa; else fails.
kept_classes() { [ -f "$TAPELINE_CACHE/$1.jsa" ] && echo "-XX:SharedArchiveFile=$TAPELINE_CACHE/$1.jsa"; }

# jvm_classes PART NAME: that, or the option with which it writes them at its end, into its folder, from where `stop` takes them.
jvm_classes() {
  local own=$TAPELINE_HOME/$1/$2.jsa
  rm -f "$own" # half of one, if it was killed while it wrote
  kept_classes "$2" || echo "-XX:ArchiveClassesAtExit=$own"
}

# keep_classes PART: what it wrote goes into the cache, complete or not at all, also if that is on another file system.
keep_classes() {
  local own
  for own in "$TAPELINE_HOME/$1"/*.jsa; do
    if [ -f "$own" ] && mv -f "$own" "$TAPELINE_CACHE/$1.jsa.$$"; then mv -f "$TAPELINE_CACHE/$1.jsa.$$" "$TAPELINE_CACHE/${own##*/}"; fi
  done
}

# await PART SECONDS: until it answers.
await() {
  local part=$1 end=$((SECONDS + $2)) why
  until "${part}_ready"; do
    why=
    # Looked at twice: in the moment of its exec a process has no command line.
    if ! pid_of "$part" >/dev/null && sleep 0.5 && ! pid_of "$part" >/dev/null; then why="ended while it was starting"
    elif [ "$SECONDS" -ge "$end" ]; then why="does not answer after $2 s"; fi
    if [ -n "$why" ]; then tail -n 15 "$TAPELINE_HOME/$part/log" >&2; die "$part: $why; the whole log: $TAPELINE_HOME/$part/log"; fi
    sleep 0.1
  done
}

# stop PART: asks, and kills after a deadline; at once where DOOMED says that its data will be deleted, unless it is to write
# its classes at its end. (PostgreSQL leaves a segment of shared memory if it is killed.)
stop() {
  local part=$1 pid signal=TERM
  if ! pid=$(pid_of "$part"); then return; fi
  if [ "$part" = timescale ]; then signal=INT # PostgreSQL's fast shutdown; on TERM it waits for its clients
  elif [ -n "${DOOMED:-}" ] && ! grep -qszF -e -XX:ArchiveClassesAtExit= "/proc/$pid/cmdline"; then signal=KILL; fi
  kill "-$signal" "$pid" 2>/dev/null || true
  for _ in {1..200}; do
    if ! pid_of "$part" >/dev/null; then
      rm -f "$TAPELINE_HOME/$part/pid"; keep_classes "$part"
      say "$part: stopped"; return
    fi
    sleep 0.1
  done
  kill -KILL "$pid" 2>/dev/null || true
  for _ in {1..50}; do pid_of "$part" >/dev/null || break; sleep 0.1; done
  rm -f "$TAPELINE_HOME/$part/pid"
  say "$part: did not stop in 20 s, killed"
}

# ---- downloads --------------------------------------------------------------------------------------------------------

# install PART: at most one at a time over all homes that share the cache.
install() {
  exec 8>"$TAPELINE_CACHE/${1%[23]}.lock" # brokers share their download
  flock 8
  "$1_install"
}

# fresh NAME: an empty work folder. Installs end with a rename, so what a killed one left is never taken for complete.
fresh() { rm -rf "${TAPELINE_CACHE:?}/$1.new"; mkdir -p "$TAPELINE_CACHE/$1.new"; echo "$TAPELINE_CACHE/$1.new"; }

# attempt WHAT LOG COMMAND...: quiet, unless it fails.
attempt() {
  local what=$1 log=$2; shift 2
  "$@" >"$log" 2>&1 </dev/null || { tail -n 15 "$log" >&2; die "$what failed; run \`up\` again to go on"; }
}

# maven WHAT DIR ARGS...: one at a time, as Maven 3.8 does not lock its repository. The plugin's 3.x versions insist on a
# parent of the registry's POM that was never published.
DEPENDENCY_PLUGIN=org.apache.maven.plugins:maven-dependency-plugin:2.8
maven() {
  local what=$1 dir=$2; shift 2
  (exec 7>"$TAPELINE_CACHE/maven.lock"; flock 7; cd "$dir" || exit 1; attempt "$what" "$dir/maven.log" mvn -q -B --strict-checksums "$@")
}

# verify DIR LIST: the files of DIR are exactly those of checksums/LIST, byte for byte.
verify() {
  local list=$HERE/checksums/$2
  diff <(cd "$1" && find . -type f -printf '%f\n' | sort) <(awk '{print $2}' "$list" | sort) >&2 ||
    die "$2: the files that came (<) are not those of the list (>)"
  (cd "$1" && "${2##*.}sum" --check --strict --quiet "$list" >&2) || die "$2: wrong checksum: not what was tested; nothing was installed"
}
