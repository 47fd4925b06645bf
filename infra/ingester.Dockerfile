# The ingester's image: a static-enough binary on a small base, run as nobody.
FROM public.ecr.aws/docker/library/rust:1.95-slim-bookworm AS build
WORKDIR /src
COPY . .
RUN cargo build --release --locked -p ingester

FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /src/target/release/ingester /ingester
# SIGTERM: stop taking ticks, commit what is in hand, save the checkpoint, release the lease, exit.
STOPSIGNAL SIGTERM
ENTRYPOINT ["/ingester"]
