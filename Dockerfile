# The image for everyone who has a container engine; tools/image/rootfs.sh says what is in it.
FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
RUN cargo build --release --locked --bin kvs-operator -p kvs-operator --bin kvs-sim -p kvs-sim \
 && tools/image/rootfs.sh /rootfs target/release/kvs-operator target/release/kvs-sim

FROM scratch
COPY --from=build /rootfs /
USER 65532:65532
ENTRYPOINT ["/bin/kvs-operator"]
