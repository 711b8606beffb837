# shellcheck shell=bash
# TimescaleDB (the Apache edition) on PostgreSQL 17: Debian's packages, unpacked into a folder, nothing installed into the
# system. apt checks them against Debian's signatures; their versions are the suite's newest. Sourced by parts.sh.

TIMESCALE_SUITE=trixie PG_MAJOR=17
TIMESCALE_ROOT=$TAPELINE_CACHE/timescale-$TIMESCALE_SUITE
PG_BIN=$TIMESCALE_ROOT/usr/lib/postgresql/$PG_MAJOR/bin

# PostgreSQL and the libraries that it links; not what Debian adds (perl, debconf, JIT, locales).
TIMESCALE_PACKAGES=(postgresql-17 postgresql-client-17 postgresql-17-timescaledb
  libc6 libgcc-s1 libstdc++6 libpq5 libicu76 libssl3t64 libxml2 libxslt1.1 liblzma5 libzstd1 liblz4-1
  libxxhash0 zlib1g libuuid1 libgssapi-krb5-2 libkrb5-3 libk5crypto3 libkrb5support0 libcom-err2
  libkeyutils1 libldap2 libsasl2-2 libpam0g libaudit1 libcap-ng0 libselinux1 libpcre2-8-0
  libsystemd0 libcap2 libgcrypt20 libgpg-error0 libreadline8t64 libtinfo6 libedit2 libbsd0 libmd0)

timescale_needs() { echo x86_64 unshare; [ -d "$TIMESCALE_ROOT" ] || echo apt-get dpkg-deb debian-keyring; }
timescale_ports() { echo "$TIMESCALE_PORT"; }
timescale_version() {
  pg_client postgres -c "SELECT 'PostgreSQL ' || split_part(current_setting('server_version'), ' ', 1) || ', TimescaleDB ' || default_version FROM pg_available_extensions WHERE name = 'timescaledb'"
}

# The mirror that this machine uses already; only the suite is another.
# shellcheck disable=SC2016  # apt-get and awk expand them
debian_mirror() {
  apt-get indextargets --format '$(ORIGIN) $(CODENAME) $(REPO_URI)' 'Created-By: Packages' |
    awk '$1 == "Debian" && $2 !~ /-/ {print $3; exit}'
}

timescale_install() {
  [ ! -d "$TIMESCALE_ROOT" ] || return 0
  local new mirror deb; new=$(fresh timescale)
  say "timescale: downloading PostgreSQL $PG_MAJOR and timescaledb from Debian $TIMESCALE_SUITE"
  mirror=${TAPELINE_DEBIAN_MIRROR:-$(debian_mirror)}
  if [ -z "$mirror" ]; then # no package lists here yet
    attempt "timescale: apt-get update" "$new/update.log" apt-get update -qq
    mirror=$(debian_mirror)
  fi
  [ -n "$mirror" ] || die "timescale: apt knows no Debian mirror here: set TAPELINE_DEBIAN_MIRROR, or TAPELINE_TIMESCALE_URL to a server of yours"

  # An apt of its own: its lists, packages and state stay in this folder.
  mkdir -p "$new/apt/lists/partial" "$new/apt/cache/archives/partial" "$new/debs" "$new/root"
  : >"$new/apt/status"
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $TIMESCALE_SUITE main" >"$new/apt/sources.list"
  cat >"$new/apt/apt.conf" <<C
Dir::State "$new/apt"; Dir::State::lists "$new/apt/lists"; Dir::State::status "$new/apt/status"; Dir::Cache "$new/apt/cache";
Dir::Etc::sourcelist "$new/apt/sources.list"; Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "/dev/null"; Dir::Etc::preferencesparts "/dev/null";
Acquire::Languages "none"; Acquire::Retries "3"; APT::Sandbox::User "root";
Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled "false";
C
  attempt "timescale: the package list" "$new/update.log" env "APT_CONFIG=$new/apt/apt.conf" apt-get update -qq
  (cd "$new/debs" && attempt "timescale: downloading" "$new/download.log" \
    env "APT_CONFIG=$new/apt/apt.conf" apt-get download -qq "${TIMESCALE_PACKAGES[@]}")
  for deb in "$new"/debs/*.deb; do dpkg-deb -x "$deb" "$new/root"; done
  timescale_relocate "$new/root"
  mv "$new/root" "$TIMESCALE_ROOT"
  rm -rf "$new"
  say "timescale: installed"
}

# Debian's newer programs need Debian's newer C library: each becomes a small script that starts the real one with the
# dynamic linker and the libraries of the folder.
timescale_relocate() {
  local pg=$1/usr/lib/postgresql/$PG_MAJOR program name
  rm -rf "${1:?}/etc" "$1"/usr/share/{doc,man,locale,lintian,bash-completion,perl5,postgresql-common} "$pg"/lib/{bitcode,llvmjit*}
  mv "$pg/bin" "$pg/real"
  mkdir "$pg/bin"
  for program in "$pg"/real/*; do
    name=${program##*/}
    if [ "$(head -c4 "$program" | tail -c3)" != ELF ]; then cp "$program" "$pg/bin/$name"; continue; fi
    cat >"$pg/bin/$name" <<'W'
#!/bin/sh
bin=$(cd "${0%/*}" && pwd)
root=${bin%/usr/lib/postgresql/*}
exec "$root/usr/lib64/ld-linux-x86-64.so.2" --library-path "$root/usr/lib/x86_64-linux-gnu" --argv0 "$bin/${0##*/}" "$bin/../real/${0##*/}" "$@"
W
    chmod 755 "$pg/bin/$name"
  done
}

# PostgreSQL refuses to run as root. As root: in a user namespace in which we are somebody else, or, where that is not
# allowed, as nobody. Sets AS_PG, the words before the command.
as_pg() {
  local dir=$TAPELINE_HOME/timescale
  AS_PG=(env LC_ALL=C.UTF-8)
  if [ "$(id -u)" != 0 ]; then return; fi
  if unshare --user --map-user=1000 --map-group=1000 true 2>/dev/null; then
    AS_PG+=(unshare --user --map-user=1000 --map-group=1000 --)
  else
    chown -R nobody "$dir"
    AS_PG+=(setpriv --reuid=nobody --regid=nogroup --clear-groups --)
  fi
}

timescale_launch() {
  local dir=$TAPELINE_HOME/timescale durable=(-c fsync=off -c synchronous_commit=off -c full_page_writes=off)
  if [ "${TAPELINE_DURABLE:-}" = 1 ]; then durable=(); fi
  as_pg
  if [ ! -d "$dir/data" ]; then
    rm -rf "$dir/data.new"
    # No password: it listens on the loopback address only.
    attempt "timescale: initdb" "$dir/initdb.log" "${AS_PG[@]}" "$PG_BIN/initdb" -D "$dir/data.new" -U postgres -A trust \
      -E UTF8 --locale-provider=builtin --locale=C.UTF-8 --no-sync --no-instructions
    mv "$dir/data.new" "$dir/data"
  fi
  timescale_bury
  # Settings are given here, not in the data's postgresql.conf: a new version of this file then holds for old data too.
  launch timescale "${AS_PG[@]}" "$PG_BIN/postgres" -D "$dir/data" -p "$TIMESCALE_PORT" "${durable[@]}" \
    -c listen_addresses=127.0.0.1 -c unix_socket_directories= \
    -c shared_preload_libraries=timescaledb -c timescaledb.telemetry_level=off \
    -c max_connections=200 -c max_worker_processes=24 -c timescaledb.max_background_workers=8 \
    -c shared_buffers=512MB -c work_mem=32MB -c maintenance_work_mem=256MB -c max_wal_size=4GB -c wal_compression=lz4 -c jit=off
}

# After a kill: its children end by themselves within a moment, and postmaster.pid names a process that is not it any more
# (a zombie, or a stranger with the same id), for which a new one would not start.
timescale_bury() {
  local data=$TAPELINE_HOME/timescale/data
  [ -f "$data/postmaster.pid" ] || return 0
  for _ in {1..100}; do timescale_children || break; sleep 0.1; done
  timescale_children || rm -f "$data/postmaster.pid"
}
timescale_children() { find /proc -maxdepth 2 -name cwd -lname "$TAPELINE_HOME/timescale/data" 2>/dev/null | grep -q .; }

pg_client() {
  local database=$1; shift
  PGHOST=127.0.0.1 PGPORT=$TIMESCALE_PORT PGUSER=postgres PGDATABASE=$database PGCONNECT_TIMEOUT=2 "$PG_BIN/psql" -XqtA "$@"
}

timescale_ready() { pg_client postgres -c 'SELECT 1' >/dev/null 2>&1; }
timescale_prepare() {
  [ "$(pg_client postgres -c "SELECT 1 FROM pg_database WHERE datname = '$DATABASE'")" = 1 ] || pg_client postgres -c "CREATE DATABASE $DATABASE"
}
