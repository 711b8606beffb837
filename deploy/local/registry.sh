# shellcheck shell=bash
# Apicurio Registry: the Confluent schema-registry API under /apis/ccompat/v7. Its schemas are kept in Kafka (topic
# kafkasql-journal), so it has no data of its own and needs Kafka to start. Sourced by parts.sh.

REGISTRY_VERSION=3.0.9 # 3.1 and later want Java 21
REGISTRY_APP=$TAPELINE_CACHE/registry-$REGISTRY_VERSION

registry_needs() { echo java curl; [ -d "$REGISTRY_APP" ] || echo mvn; }
registry_ports() { echo "$REGISTRY_PORT"; }
registry_version() { echo "Apicurio Registry $REGISTRY_VERSION"; }

registry_install() {
  [ ! -d "$REGISTRY_APP" ] || return 0
  local new; new=$(fresh registry)
  say "registry: downloading $REGISTRY_VERSION"
  maven "registry: downloading" "$new" "$DEPENDENCY_PLUGIN:copy" \
    "-Dartifact=io.apicurio:apicurio-registry-app:$REGISTRY_VERSION:tar.gz:all" "-DoutputDirectory=$new/archive"
  verify "$new/archive" "registry-$REGISTRY_VERSION.sha256"
  mkdir "$new/app"
  tar xzf "$new/archive"/*.tar.gz -C "$new/app"
  mv "$new/app" "$REGISTRY_APP"
  rm -rf "$new"
  say "registry: installed"
}

registry_launch() {
  local dir=$TAPELINE_HOME/registry
  reachable "${ADDRESS[kafka]}" || die "registry: no Kafka at ${ADDRESS[kafka]}, and it keeps its schemas there: start Kafka first"
  # Its first start makes a topic, with copies on all brokers.
  local part; if ! external kafka; then for part in "${BROKERS[@]}"; do if pid_of "$part" >/dev/null; then await "$part" 120; fi; done; fi
  # At its start it waits for a snapshot of its schemas, which a registry takes once a day: 5 s if it is not told otherwise. Without
  # one it reads their journal.
  launch registry java "$(jvm_classes registry "registry-$REGISTRY_VERSION")" -Xmx400m -XX:TieredStopAtLevel=1 "-Djava.io.tmpdir=$dir/tmp" \
    -Dquarkus.http.host=127.0.0.1 "-Dquarkus.http.port=$REGISTRY_PORT" \
    -Dapicurio.storage.kind=kafkasql -Dapicurio.kafkasql.consumer.poll.timeout=1000 "-Dapicurio.kafkasql.bootstrap.servers=${ADDRESS[kafka]}" \
    -jar "$REGISTRY_APP/apicurio-registry-app-$REGISTRY_VERSION-runner.jar"
}

registry_ready() { curl -sf -m 2 --noproxy '*' -o /dev/null "${OURS[registry]}/subjects"; }
registry_prepare() { :; }
