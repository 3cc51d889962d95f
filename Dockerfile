# shoebox with its browser. Targets: `shoebox` (what people run, the default), `sim` (the demo's Google) and `samba` (a
# share of the view). Nothing here names an architecture; docker/bake.hcl builds for two.
FROM debian:trixie-slim AS samba
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends samba tini \
 && rm -rf /var/lib/apt/lists/* \
# Whoever comes by the network reads as this user, who owns nothing.
 && useradd --system --no-create-home --shell /usr/sbin/nologin photos
COPY docker/samba-share /usr/local/bin/samba-share
EXPOSE 445
HEALTHCHECK --interval=60s --timeout=10s CMD ["samba-share", "health"]
ENTRYPOINT ["/usr/bin/tini", "--", "/usr/local/bin/samba-share"]

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
# Drivers for graphics hardware, which is not there, with a whole compiler: 220 MB. Nothing is linked to them, and without
# hardware Chromium draws by itself.
 && rm -rf /var/lib/apt/lists/* /usr/lib/*/libLLVM*.so* /usr/lib/*/libgallium*.so /usr/lib/*/libz3.so* \
      /usr/lib/chromium/libVkLayer_* /usr/lib/chromium/libVkICD_mock_icd.so

FROM base AS sim
COPY --from=build /out/photos-sim /out/shoebox /usr/local/bin/
COPY docker/demo-google /usr/local/bin/demo-google
ENTRYPOINT ["/usr/bin/tini", "--"]
CMD ["demo-google"]

FROM base AS product
# What shows the sign-in browser inside the page.
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends tigervnc-standalone-server matchbox-window-manager \
# Perl is for a script beside the server, which nothing here calls.
 && rm -rf /var/lib/apt/lists/* /usr/share/perl/5* /usr/lib/*/perl/5* /usr/lib/*/libperl.so* /usr/bin/perl5*-linux-gnu
COPY --from=novnc /novnc /usr/share/shoebox/novnc
# Under its own name shoebox is the entry: who calls it by `docker exec` becomes the user, too.
COPY --from=build /out/shoebox /usr/local/lib/shoebox
COPY docker/entrypoint /usr/local/bin/entrypoint
# For containers with `user:`, where a helper mounts: a view that others may read.
RUN ln -s entrypoint /usr/local/bin/shoebox && echo user_allow_other >>/etc/fuse.conf

# What is in the image: Debian's packages, the libraries in shoebox, noVNC.
FROM build AS crates
RUN cargo tree --locked --edges normal --prefix none --format '{p}' >/crates
FROM product AS contents
COPY --from=crates /crates /src/Cargo.lock /tmp/
COPY docker/sbom /usr/local/bin/
RUN sbom /tmp/crates /tmp/Cargo.lock /usr/share/shoebox/novnc >/sbom.cdx.json

FROM product AS shoebox
COPY --from=contents /sbom.cdx.json /usr/share/shoebox/sbom.cdx.json
# Given by whoever builds; docker/bake.hcl does. There is no date among them: the same sources make the same image.
ARG VERSION=unknown
ARG REVISION=unknown
ARG SOURCE=unknown
LABEL org.opencontainers.image.title="shoebox" \
      org.opencontainers.image.description="Archives every original of a Google Photos library" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0" \
      org.opencontainers.image.base.name="docker.io/library/debian:trixie-slim" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION" \
      org.opencontainers.image.source="$SOURCE"
ENV SHOEBOX_DATA=/data \
    SHOEBOX_PROFILE=/config/profile \
    SHOEBOX_VIEW=/view/photos \
    SHOEBOX_LISTEN=0.0.0.0:8080
VOLUME ["/config", "/data"]
EXPOSE 8080
STOPSIGNAL SIGTERM
# A lapsed login is reported, but is no illness: a restart would not cure it.
HEALTHCHECK --interval=60s --timeout=10s --start-period=120s CMD ["shoebox", "health"]
ENTRYPOINT ["/usr/local/bin/entrypoint"]
CMD ["run"]
