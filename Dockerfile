# rectal-node in a container: the same entry point, config.toml mounted, no root.
#
#   docker build -t rectal-node .
#   docker run --read-only --tmpfs /tmp --cap-drop ALL --security-opt no-new-privileges -p 11112:11112 \
#       -v ./config.toml:/etc/rectal-node/config.toml:ro -v rectal-node:/var/lib/rectal-node rectal-node
#
# In the mounted config.toml: root = "/var/lib/rectal-node" and [listener] host = "0.0.0.0".
FROM python:3.11-slim-bookworm AS build
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends gcc libc6-dev make && rm -rf /var/lib/apt/lists/*
WORKDIR /opt/rectal-node
COPY pyproject.toml README.md Makefile config.toml ./
COPY setup setup
COPY node node
COPY storage storage
COPY models models
RUN make .venv/.installed TORCH=cpu

FROM python:3.11-slim-bookworm
RUN useradd --system --uid 10001 --create-home --home-dir /var/lib/rectal-node rectal \
    && mkdir -p /etc/rectal-node && chown rectal: /var/lib/rectal-node
COPY --from=build /opt/rectal-node /opt/rectal-node
WORKDIR /opt/rectal-node
ENV PATH=/opt/rectal-node/.venv/bin:$PATH TCP_NODELAY=1 PYTHONUNBUFFERED=1 MPLCONFIGDIR=/tmp/matplotlib
USER rectal
EXPOSE 11112
VOLUME /var/lib/rectal-node
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s CMD ["rectal-node", "status", "--json", "--config", "/etc/rectal-node/config.toml"]
ENTRYPOINT ["rectal-node", "serve", "--config", "/etc/rectal-node/config.toml"]
