# syntax=docker/dockerfile:1
# The runtime without a compiler, for amd64 and arm64. How to run it: docs/deploy.md.
ARG PYTHON=3.12

FROM python:${PYTHON}-slim AS build
WORKDIR /src
# The dependencies first: this layer is made anew only when pyproject.toml changes.
COPY pyproject.toml ./
RUN python -m venv /opt/streamdet \
 && python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["dependencies"], sep="\n")' > base.txt \
 && /opt/streamdet/bin/pip install --no-cache-dir --only-binary=:all: -r base.txt
COPY README.md LICENSE ./
COPY engines engines
COPY streamdet streamdet
RUN /opt/streamdet/bin/pip install --no-cache-dir --no-deps .

FROM python:${PYTHON}-slim
COPY --from=build /opt/streamdet /opt/streamdet
RUN useradd --uid 10001 --create-home --home-dir /var/lib/streamdet streamdet \
 && install -d -o streamdet -g streamdet /var/cache/streamdet
# What is compiled and measured for this machine goes to the cache; mount a volume there to keep it.
ENV PATH=/opt/streamdet/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    XDG_CACHE_HOME=/var/cache/streamdet \
    NUMBA_CACHE_DIR=/var/cache/streamdet/numba
USER streamdet
WORKDIR /var/lib/streamdet
EXPOSE 9108
# Alive, not ready: a camera that is away is no reason to restart the container.
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 \
  CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:9108/healthz', timeout=4)"]
# The exec form: streamdet is process 1 and gets SIGTERM itself, which drains.
STOPSIGNAL SIGTERM
ENTRYPOINT ["streamdet"]
CMD ["run", "/etc/streamdet/run.yaml", "--quiet", "--log-format", "json", "--metrics-port", "9108"]
