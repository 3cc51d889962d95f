# shoebox with its browser. Targets: `shoebox` (what people run, the default) and `sim` (the demo's Google).
FROM rust:1.95-trixie AS build
WORKDIR /src
# Cheaper builds for tests: --build-arg PROFILE=container.
ARG PROFILE=release
# Dependencies first: they change seldom, and this layer is kept.
COPY Cargo.toml Cargo.lock ./
RUN mkdir -p src/bin tests/bench \
 && touch src/lib.rs tests/runner.rs tests/bench/main.rs \
 && echo 'fn main() {}' | tee src/main.rs src/bin/photos-sim.rs >/dev/null \
 && cargo build --locked --profile "$PROFILE" --bin shoebox \
 && cargo build --locked --profile "$PROFILE" --features sim --bin photos-sim
COPY .askama.toml ./
COPY src src
COPY tests/media tests/media
RUN find src -name '*.rs' -exec touch {} + \
 && mkdir /out \
 && cargo build --locked --profile "$PROFILE" --bin shoebox && cp target/*/shoebox /out/ \
 && cargo build --locked --profile "$PROFILE" --features sim --bin photos-sim && cp target/*/photos-sim /out/

FROM rust:1.95-trixie AS novnc
COPY docker/fetch-novnc /usr/local/bin/
RUN if ! command -v curl >/dev/null; then apt-get update && apt-get install -y --no-install-recommends curl; fi \
 && fetch-novnc /novnc

FROM debian:trixie-slim AS base
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
      chromium xvfb fonts-liberation fonts-noto-color-emoji libnss3-tools fuse3 tini ca-certificates tzdata \
 && rm -rf /var/lib/apt/lists/*

FROM base AS sim
COPY --from=build /out/photos-sim /out/shoebox /usr/local/bin/
COPY docker/demo-google /usr/local/bin/demo-google
ENTRYPOINT ["/usr/bin/tini", "--"]
CMD ["demo-google"]

FROM base AS shoebox
LABEL org.opencontainers.image.title="shoebox" \
      org.opencontainers.image.description="Archives every original of a Google Photos library" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0"
# What shows the sign-in browser inside the page.
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends tigervnc-standalone-server matchbox-window-manager \
 && rm -rf /var/lib/apt/lists/*
COPY --from=novnc /novnc /usr/share/shoebox/novnc
COPY --from=build /out/shoebox /usr/local/bin/shoebox
COPY docker/entrypoint /usr/local/bin/entrypoint
# For users of the machine whom PUID names: a place for the display's socket, and a view that others may read.
RUN mkdir -p -m 1777 /tmp/.X11-unix && echo user_allow_other >>/etc/fuse.conf
ENV SHOEBOX_DATA=/data \
    SHOEBOX_PROFILE=/config/profile \
    SHOEBOX_VIEW=/view/photos \
    SHOEBOX_LISTEN=0.0.0.0:8080
VOLUME ["/config", "/data"]
EXPOSE 8080
STOPSIGNAL SIGTERM
# A lapsed login is reported, but is no illness: a restart would not cure it.
HEALTHCHECK --interval=60s --timeout=10s --start-period=120s CMD ["shoebox", "health"]
# tini reaps orphans; without -g, so that a stop reaches shoebox alone, which ends its browser in the way
# that keeps the login.
ENTRYPOINT ["/usr/bin/tini", "--", "/usr/local/bin/entrypoint"]
CMD ["run"]
