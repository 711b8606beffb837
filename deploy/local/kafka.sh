# shellcheck shell=bash
# Apache Kafka, one broker that is its own controller (KRaft), run from its Maven jars. Sourced by parts.sh.

KAFKA_VERSION=4.3.1
KAFKA_LIBS=$TAPELINE_CACHE/kafka-$KAFKA_VERSION

kafka_needs() { echo java; [ -d "$KAFKA_LIBS" ] || echo mvn; }
kafka_ports() { echo "$KAFKA_PORT" "$KAFKA_CONTROLLER_PORT"; }
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

# A broker's settings. For several brokers: a folder, a node id and a pair of ports each, all of them in the voters.
kafka_settings() {
  cat <<P
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$KAFKA_CONTROLLER_PORT
listeners=PLAINTEXT://127.0.0.1:$KAFKA_PORT,CONTROLLER://127.0.0.1:$KAFKA_CONTROLLER_PORT
advertised.listeners=PLAINTEXT://127.0.0.1:$KAFKA_PORT
controller.listener.names=CONTROLLER
log.dirs=$TAPELINE_HOME/kafka/data

# A topic that nobody declared is a mistake.
auto.create.topics.enable=false
# Kafka is the system of record: nothing is deleted unless its topic says so, nor the offsets of a group that was away for
# more than the usual week (this one is a year).
log.retention.ms=-1
offsets.retention.minutes=525600

# One broker: no copies; few partitions, so that it starts at once.
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1

# A broker that was killed may register again only when its old session has ended: 4 s instead of 9.
broker.session.timeout.ms=4000
broker.heartbeat.interval.ms=1000

# Groups of the KIP-848 protocol: a killed member's partitions go to others after 6 s (default 45 s), and a new assignment
# spreads within a second or two (default 5 s). range keeps co-partitioned topics together, uniform does not.
group.consumer.assignors=range,uniform
group.consumer.session.timeout.ms=6000
group.consumer.min.session.timeout.ms=3000
group.consumer.heartbeat.interval.ms=1000
group.consumer.min.heartbeat.interval.ms=500
# The same for groups of the classic protocol.
group.initial.rebalance.delay.ms=0
P
}

kafka_log_settings() {
  cat <<P
rootLogger.level=INFO
rootLogger.appenderRef.file.ref=file
appender.file.type=RollingFile
appender.file.name=file
appender.file.fileName=$TAPELINE_HOME/kafka/server.log
appender.file.filePattern=$TAPELINE_HOME/kafka/server.log.%i
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

kafka_tool() { java -Xmx256m -XX:TieredStopAtLevel=1 -cp "$KAFKA_LIBS/*" "$@"; }

kafka_launch() {
  local dir=$TAPELINE_HOME/kafka
  kafka_settings >"$dir/server.properties"
  kafka_log_settings >"$dir/log4j2.properties"
  # The tool writes meta.properties last: without it, formatting has not happened or was cut short, and is done (again).
  if [ ! -f "$dir/data/meta.properties" ]; then
    attempt "kafka: formatting its folder" "$dir/format.log" \
      kafka_tool kafka.tools.StorageTool format -t "$(kafka_cluster_id)" -c "$dir/server.properties"
  fi
  launch kafka java -Xms1g -Xmx1g -XX:+UseG1GC -XX:+ExitOnOutOfMemoryError "-Dlog4j2.configurationFile=$dir/log4j2.properties" \
    -cp "$KAFKA_LIBS/*" kafka.Kafka "$dir/server.properties"
}

kafka_cluster_id() { head -c16 /dev/urandom | base64 | tr '+/' '-_' | tr -d =; }
kafka_ready() { listening "$KAFKA_PORT"; }
kafka_prepare() { :; }
