# shellcheck shell=bash
# Apache Kafka (KRaft), run from its Maven jars: one broker that is its own controller, or with TAPELINE_BROKERS=3 three of
# them, each with its folder, node id and ports. Sourced by parts.sh.

KAFKA_VERSION=4.3.1
KAFKA_LIBS=$TAPELINE_CACHE/kafka-$KAFKA_VERSION

kafka_needs() { echo java; [ -d "$KAFKA_LIBS" ] || echo mvn; }
kafka_ports() { local part=${1:-kafka}; echo "$(broker_port "$part")" "$(controller_port "$part")"; }
kafka_version() { echo "Apache Kafka $KAFKA_VERSION"; }

kafka_install() {
  [ ! -d "$KAFKA_LIBS" ] || return 0
  local new; new=$(fresh kafka)
  say "kafka: downloading $KAFKA_VERSION"
  # log4j-slf4j-impl is what turns the broker's log on; Kafka's own archive carries it, its module's dependencies do not.
  cat >"$new/pom.xml" <<X
<project>
  <modelVersion>4.0.0</modelVersion><groupId>tapeline</groupId><artifactId>kafka</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>$KAFKA_VERSION</version></dependency>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka-tools</artifactId><version>$KAFKA_VERSION</version></dependency>
    <dependency><groupId>org.apache.logging.log4j</groupId><artifactId>log4j-slf4j-impl</artifactId><version>2.25.4</version></dependency>
  </dependencies>
</project>
X
  maven "kafka: downloading" "$new" "$DEPENDENCY_PLUGIN:copy-dependencies" "-DoutputDirectory=$new/libs"
  verify "$new/libs" "kafka-$KAFKA_VERSION.sha256"
  mv "$new/libs" "$KAFKA_LIBS"
  rm -rf "$new"
  say "kafka: installed"
}

kafka_voters() {
  local part voters=()
  for part in "${BROKERS[@]}"; do voters+=("$(node_of "$part")@127.0.0.1:$(controller_port "$part")"); done
  (IFS=,; echo "${voters[*]}")
}

# The settings of one broker. Several: three copies of everything, of which two must have a record before it is acknowledged,
# so that any one broker can go away and nothing acknowledged is lost.
kafka_settings() {
  local part=$1 copies=1 in_sync=1 session_ms=12000 heartbeat_ms=1000
  if [ ${#BROKERS[@]} = 3 ]; then copies=3 in_sync=2 session_ms=3000 heartbeat_ms=500; fi
  cat <<P
process.roles=broker,controller
node.id=$(node_of "$part")
controller.quorum.voters=$(kafka_voters)
listeners=PLAINTEXT://127.0.0.1:$(broker_port "$part"),CONTROLLER://127.0.0.1:$(controller_port "$part")
advertised.listeners=PLAINTEXT://127.0.0.1:$(broker_port "$part")
controller.listener.names=CONTROLLER
log.dirs=$TAPELINE_HOME/$part/data

# A topic that nobody declared is a mistake.
auto.create.topics.enable=false
# Kafka is the system of record: nothing is deleted unless its topic says so, nor the offsets of a group that was away for
# more than the usual week (this one is a year).
log.retention.ms=-1
offsets.retention.minutes=525600

# Copies. min.insync.replicas holds for __consumer_offsets too. Few partitions, so that a broker starts at once.
default.replication.factor=$copies
min.insync.replicas=$in_sync
unclean.leader.election.enable=false
offsets.topic.replication.factor=$copies
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=$copies
transaction.state.log.min.isr=$in_sync
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=$copies
share.coordinator.state.topic.min.isr=$in_sync

# A broker that was killed may register again only when its old session has ended, and its partitions go to others then: 3 s
# of three brokers, not 9. A single one must not lose its session while it lives, however busy the machine is: as long as
# it is fenced no partition has a leader, and Kafka then drops the markers of transactions that end ("Couldn't find leader
# endpoint … likely deleted already"): what was aborted is committed with the producer's next transaction.
broker.session.timeout.ms=$session_ms
broker.heartbeat.interval.ms=$heartbeat_ms
# The active controller too may be killed: others miss it after this time (default 2 s), and all sessions begin anew then.
controller.quorum.fetch.timeout.ms=1500
# A broker that was killed counts as a follower until its session has ended: offsets must not fail before that (default 5 s).
offsets.commit.timeout.ms=15000

# Groups of the KIP-848 protocol: a killed member's partitions go to others after 10 s (default 45 s), and members hear of a
# new assignment within half a second (default 5 s). range keeps co-partitioned topics together, uniform does not.
group.consumer.assignors=range,uniform
group.consumer.session.timeout.ms=10000
group.consumer.min.session.timeout.ms=3000
group.consumer.heartbeat.interval.ms=500
group.consumer.min.heartbeat.interval.ms=500
# The same for groups of the classic protocol.
group.initial.rebalance.delay.ms=0
P
}

kafka_log_settings() {
  local part=$1
  cat <<P
rootLogger.level=INFO
rootLogger.appenderRef.file.ref=file
appender.file.type=RollingFile
appender.file.name=file
appender.file.fileName=$TAPELINE_HOME/$part/server.log
appender.file.filePattern=$TAPELINE_HOME/$part/server.log.%i
appender.file.layout.type=PatternLayout
appender.file.layout.pattern=%d %p %m (%c)%n
appender.file.policies.type=Policies
appender.file.policies.size.type=SizeBasedTriggeringPolicy
appender.file.policies.size.size=20MB
appender.file.strategy.type=DefaultRolloverStrategy
appender.file.strategy.max=1
appender.error.type=Console
appender.error.name=error
appender.error.layout.type=PatternLayout
appender.error.layout.pattern=%d %p %m (%c)%n
rootLogger.appenderRef.error.ref=error
rootLogger.appenderRef.error.level=ERROR
P
}

kafka_tool() { # with a broker's archive of classes, once there is one
  local quicker; quicker=$(kept_classes "kafka-$KAFKA_VERSION") || true
  java ${quicker:+"$quicker"} -Xmx256m -XX:TieredStopAtLevel=1 -cp "$KAFKA_LIBS/*" "$@"
}

kafka_launch() {
  local part=${1:-kafka} jvm=(-Xms1g -Xmx1g -XX:+UseParallelGC); local dir=$TAPELINE_HOME/$part
  # Three share the machine, and one of them has just started, mostly: a compiler that costs little is worth more there than
  # one whose code is fast, and so is a collector without threads of its own.
  if [ ${#BROKERS[@]} = 3 ]; then jvm=(-Xms512m -Xmx512m -XX:+UseSerialGC -XX:TieredStopAtLevel=1); fi
  kafka_settings "$part" >"$dir/server.properties"
  kafka_log_settings "$part" >"$dir/log4j2.properties"
  # The tool writes meta.properties last: without it, formatting has not happened or was cut short, and is done (again).
  if [ ! -f "$dir/data/meta.properties" ]; then
    attempt "$part: formatting its folder" "$dir/format.log" \
      kafka_tool kafka.tools.StorageTool format -t "$(kafka_cluster_id)" -c "$dir/server.properties"
  fi
  launch "$part" java "$(jvm_classes "$part" "kafka-$KAFKA_VERSION")" "${jvm[@]}" -XX:+ExitOnOutOfMemoryError "-Dlog4j2.configurationFile=$dir/log4j2.properties" \
    -cp "$KAFKA_LIBS/*" kafka.Kafka "$dir/server.properties"
}

# From the folder's name, so that brokers that are formatted at the same time agree on it; without `-`, which as its first
# letter would make it an option.
kafka_cluster_id() {
  local bytes; bytes=$(md5sum <<<"$TAPELINE_HOME" | cut -c1-32 | sed 's/../\\x&/g')
  printf '%b' "$bytes" | base64 | tr '+/' 'AA' | tr -d =
}
kafka_ready() { listening "$(broker_port "${1:-kafka}")"; }
kafka_prepare() { :; }

kafka2_needs() { kafka_needs; }
kafka2_ports() { kafka_ports kafka2; }
kafka2_install() { kafka_install; }
kafka2_launch() { kafka_launch kafka2; }
kafka2_ready() { kafka_ready kafka2; }
kafka2_prepare() { :; }
kafka2_version() { kafka_version; }
kafka3_needs() { kafka_needs; }
kafka3_ports() { kafka_ports kafka3; }
kafka3_install() { kafka_install; }
kafka3_launch() { kafka_launch kafka3; }
kafka3_ready() { kafka_ready kafka3; }
kafka3_prepare() { :; }
kafka3_version() { kafka_version; }
