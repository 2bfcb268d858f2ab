# syntax=docker/dockerfile:1
# Arborist with vLLM and Ray: driver, engines and the nodes of a Ray cluster are all this image.
#   docker build -f docker/generate.Dockerfile -t arborist:cpu .
#   docker build -f docker/generate.Dockerfile -t arborist:gpu --build-arg DEVICE=gpu .
# CPU: pip must find the CPU build of torch; PIP_EXTRA_INDEX_URL says where, or, with credentials,
# `--secret id=pip,src=pip.conf`. GPU: vLLM's own image, whose Python is another minor version, so
# a cluster is made of one of the two.
ARG DEVICE=cpu
ARG CPU_BASE=python:3.11-slim-bookworm
ARG GPU_BASE=vllm/vllm-openai:v0.32.0

FROM ${CPU_BASE} AS base-cpu
FROM ${GPU_BASE} AS base-gpu

# hadolint ignore=DL3006
FROM base-${DEVICE} AS base
SHELL ["/bin/sh", "-euc"]
# libnuma: vLLM's CPU build; tini: an init that reaps and hands signals on.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libnuma1 tini \
    && rm -rf /var/lib/apt/lists/*

FROM base AS build-cpu
ARG PIP_EXTRA_INDEX_URL
RUN python3 -m venv --without-pip /opt/arborist
RUN --mount=type=secret,id=pip,target=/etc/pip.conf \
    --mount=type=cache,target=/root/.cache/pip \
    python3 -m pip --python /opt/arborist/bin/python install --no-deps torch==2.13.0+cpu \
    || { echo "no CPU build of torch: say where it is by PIP_EXTRA_INDEX_URL" >&2; exit 2; }
COPY requirements/generate-cpu.txt /src/requirements/
RUN --mount=type=secret,id=pip,target=/etc/pip.conf \
    --mount=type=cache,target=/root/.cache/pip \
    python3 -m pip --python /opt/arborist/bin/python install --no-deps \
        --requirement /src/requirements/generate-cpu.txt

FROM base AS build-gpu
ARG PIP_EXTRA_INDEX_URL
# Beside what the base brings, which stays as it is: vLLM and torch above all.
RUN python3 -m venv --without-pip --system-site-packages /opt/arborist
COPY requirements/generate-gpu.txt /src/requirements/
RUN --mount=type=secret,id=pip,target=/etc/pip.conf \
    --mount=type=cache,target=/root/.cache/pip \
    python3 -m pip --python /opt/arborist/bin/python install \
        --requirement /src/requirements/generate-gpu.txt

# hadolint ignore=DL3006
FROM build-${DEVICE} AS build
COPY LICENSE README.md pyproject.toml /src/
COPY schemas /src/schemas
COPY pipeline /src/pipeline
COPY jobs /src/jobs
RUN --mount=type=secret,id=pip,target=/etc/pip.conf \
    --mount=type=cache,target=/root/.cache/pip \
    python3 -m pip --python /opt/arborist/bin/python install --no-deps /src

FROM base AS run
# A login shell, as some launchers start one, sets PATH anew.
RUN groupadd --gid 10001 arborist \
    && useradd --uid 10001 --gid 10001 --create-home --no-log-init arborist \
    && install --directory --owner 10001 --group 10001 /cache /runs \
    && echo "PATH=/opt/arborist/bin:\$PATH" >/etc/profile.d/arborist.sh
COPY --from=build /opt/arborist /opt/arborist
COPY jobs/specs /specs
COPY --chmod=755 docker/entrypoint.sh /usr/local/bin/arborist-entrypoint
COPY --chmod=755 docker/health.sh /usr/local/bin/arborist-health
ENV PATH=/opt/arborist/bin:$PATH \
    HOME=/home/arborist \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    ARBORIST_CACHE=/cache/arborist \
    HF_HOME=/cache/huggingface \
    TRITON_CACHE_DIR=/cache/triton \
    VLLM_CACHE_ROOT=/cache/vllm \
    XDG_CACHE_HOME=/cache \
    RAY_USAGE_STATS_ENABLED=0 \
    RAY_process_group_cleanup_enabled=1 \
    VLLM_NO_USAGE_STATS=1
VOLUME ["/cache"]
WORKDIR /home/arborist
USER 10001:10001
HEALTHCHECK --interval=30s --timeout=20s --start-period=60s --retries=3 CMD ["arborist-health"]
ENTRYPOINT ["tini", "--", "arborist-entrypoint"]
CMD ["--help"]
