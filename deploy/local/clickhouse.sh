# shellcheck shell=bash
# ClickHouse with its HTTP and TCP ports: the engine of the chDB package from npm, kept running by chserver.py. Sourced by
# parts.sh.

CHDB_VERSION=26.7.3
CHDB_LIB=$TAPELINE_CACHE/clickhouse-$CHDB_VERSION/libchdb.so

clickhouse_needs() { echo x86_64 python3 curl; [ -f "$CHDB_LIB" ] || echo npm; }
clickhouse_ports() { echo "$CLICKHOUSE_HTTP_PORT" "$CLICKHOUSE_TCP_PORT"; }
clickhouse_version() { echo "ClickHouse $(clickhouse_sql 'SELECT version()')"; }

clickhouse_install() {
  [ ! -f "$CHDB_LIB" ] || return 0
  local new; new=$(fresh clickhouse)
  say "clickhouse: downloading chDB $CHDB_VERSION"
  mkdir "$new/archive" "$new/lib"
  (cd "$new/archive" && attempt "clickhouse: downloading" "$new/npm.log" \
    npm pack --silent --cache "$new/npm" "@chdb/lib-linux-x64-gnu@$CHDB_VERSION-stable.1")
  verify "$new/archive" "clickhouse-$CHDB_VERSION.sha512"
  tar xzf "$new/archive"/*.tgz -C "$new/lib" --strip-components=1 package/libchdb.so
  mv "$new/lib" "${CHDB_LIB%/*}"
  rm -rf "$new"
  say "clickhouse: installed"
}

clickhouse_settings() {
  cat <<C
<clickhouse>
  <logger><level>warning</level><log>$TAPELINE_HOME/clickhouse/server.log</log><size>20M</size><count>1</count></logger>
  <users_config>$TAPELINE_HOME/clickhouse/users.xml</users_config>
  <max_server_memory_usage>6000000000</max_server_memory_usage>
  <background_pool_size>8</background_pool_size>
  <background_schedule_pool_size>64</background_schedule_pool_size>
  <background_streaming_schedule_pool_size>8</background_streaming_schedule_pool_size>
  <background_message_broker_schedule_pool_size>4</background_message_broker_schedule_pool_size>
  <mark_cache_size>268435456</mark_cache_size>
  <query_log><database>system</database><table>query_log</table><flush_interval_milliseconds>2000</flush_interval_milliseconds></query_log>
</clickhouse>
C
}

# No password: it listens on the loopback address only.
clickhouse_users() {
  cat <<C
<clickhouse>
  <profiles><default/></profiles>
  <quotas><default/></quotas>
  <users><default>
    <password/><profile>default</profile><quota>default</quota><networks><ip>127.0.0.1</ip></networks>
  </default></users>
</clickhouse>
C
}

clickhouse_launch() {
  local dir=$TAPELINE_HOME/clickhouse
  mkdir -p "$dir/data"
  # This mode forgets the database `system`, not its files: those of an old query log would block the new one.
  rm -rf "$dir/data/data/system"
  clickhouse_settings >"$dir/config.xml"
  clickhouse_users >"$dir/users.xml"
  launch clickhouse "${GIVING_WAY[@]}" python3 "$HERE/chserver.py" --lib "$CHDB_LIB" --path "$dir/data" --config "$dir/config.xml" \
    --http "$CLICKHOUSE_HTTP_PORT" --tcp "$CLICKHOUSE_TCP_PORT"
}

clickhouse_sql() { curl -sS -m 10 --noproxy '*' --fail-with-body --data-binary "$1" "${OURS[clickhouse]}"; }
clickhouse_ready() { curl -sf -m 2 --noproxy '*' -o /dev/null "${OURS[clickhouse]}/ping" && listening "$CLICKHOUSE_TCP_PORT"; }
clickhouse_prepare() { clickhouse_sql "CREATE DATABASE IF NOT EXISTS $DATABASE"; }
