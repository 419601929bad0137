# rectal-node in a container: the same entry point, config.toml mounted, no root.
#
#   docker build -t rectal-node .
#   docker run -p 11112:11112 -v ./config.toml:/etc/rectal-node/config.toml:ro -v rectal-node:/var/lib/rectal-node rectal-node
#
# In the mounted config.toml: root = "/var/lib/rectal-node", [listener] host = "0.0.0.0", and the three bundles
# under "/opt/rectal-node/models/weights".
FROM python:3.11-slim-bookworm AS build
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends gcc g++ libc6-dev make && rm -rf /var/lib/apt/lists/*
WORKDIR /opt/rectal-node
COPY pyproject.toml README.md Makefile ./
COPY node node
COPY storage storage
COPY models models
# torch's own index serves the CPU build; PyPI's would bring CUDA along.
RUN python -m venv .venv \
    && .venv/bin/pip install --no-cache-dir --index-url https://download.pytorch.org/whl/cpu "torch==2.13.0" \
    && make .venv/.installed

FROM python:3.11-slim-bookworm
RUN useradd --system --uid 10001 --create-home --home-dir /var/lib/rectal-node rectal \
    && mkdir -p /etc/rectal-node && chown rectal: /var/lib/rectal-node
COPY --from=build /opt/rectal-node /opt/rectal-node
COPY config.toml /opt/rectal-node/config.toml
WORKDIR /opt/rectal-node
ENV PATH=/opt/rectal-node/.venv/bin:$PATH TCP_NODELAY=1 PYTHONUNBUFFERED=1 MPLCONFIGDIR=/tmp/matplotlib
USER rectal
EXPOSE 11112
VOLUME /var/lib/rectal-node
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s CMD ["rectal-node", "status", "--json", "--config", "/etc/rectal-node/config.toml"]
ENTRYPOINT ["rectal-node", "serve", "--config", "/etc/rectal-node/config.toml"]
