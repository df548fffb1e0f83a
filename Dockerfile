# The page in a container; docs/operating.md says how to run it. There are two targets:
#
#   docker build --target cpu --build-arg PIP_EXTRA_INDEX_URL=… -t nst:cpu .
#   docker build --target cuda -t nst:cuda .
#
# The first wants PyTorch's index of CPU builds (README, "Installed"), or its image is as large as
# the second: PyPI's torch for Linux brings CUDA along.

FROM python:3.12-slim-bookworm AS build
ARG PIP_EXTRA_INDEX_URL=""
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/nst
WORKDIR /source
COPY requirements.txt requirements-masks.txt ./
RUN /opt/nst/bin/pip install -r requirements.txt -r requirements-masks.txt
COPY pyproject.toml README.md LICENSE ./
COPY nst nst
COPY page page
COPY examples examples
RUN /opt/nst/bin/pip install --no-deps .

FROM python:3.12-slim-bookworm AS page
RUN useradd --uid 10001 --no-create-home --home-dir /data --shell /usr/sbin/nologin nst \
    && install -d -o nst -g nst -m 0700 /data
COPY --from=build /opt/nst /opt/nst
# All that is written goes to /data (pictures, caches) and /tmp (uploads and previews).
ENV PATH=/opt/nst/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOME=/data \
    XDG_CACHE_HOME=/data/cache \
    NST_JOBS=/data/jobs \
    NST_LOG=json \
    GRADIO_ANALYTICS_ENABLED=False \
    GRADIO_SERVER_NAME=0.0.0.0 \
    GRADIO_SERVER_PORT=7860
WORKDIR /data
VOLUME /data
EXPOSE 7860
USER 10001:10001
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=120s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as web; web.urlopen(f'http://127.0.0.1:{os.environ[\"GRADIO_SERVER_PORT\"]}/healthz', timeout=4)"]
CMD ["nst", "studio"]

FROM page AS cuda
# The driver comes from the host, by NVIDIA's container toolkit.
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility

FROM page AS cpu
