# All binaries of the workspace in one image; the service says which one runs.

FROM rust:1.95.0-bookworm AS build
# The gateway's build makes the web console with npm.
RUN apt-get update && apt-get install -y --no-install-recommends npm && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
# The two folders are kept between builds, and are no part of the image: hence the copy.
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target \
    cargo build --release --locked \
      --bin tapeline --bin validator --bin executor --bin settler --bin timescale --bin clickhouse --bin gateway \
 && mkdir /out \
 && cd target/release && cp tapeline validator executor settler timescale clickhouse gateway /out/

FROM debian:12.12-slim
# libssl3: the Kafka client and the registry client link it.
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates libssl3 \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --system --uid 10001 --no-create-home tapeline
COPY --from=build /out/ /usr/local/bin/
COPY topology.toml /etc/tapeline/topology.toml
ENV TAPELINE_TOPOLOGY=/etc/tapeline/topology.toml
USER 10001
CMD ["tapeline", "--help"]
