# syntax=docker/dockerfile:1
# Arborist with torch and TRL: `sft`, `experiment`, `retention`, `damage`.
#   docker build -f docker/sft.Dockerfile -t arborist-sft:gpu .
#   docker build -f docker/sft.Dockerfile -t arborist-sft:cpu --build-arg TORCH=torch==2.13.0+cpu .
# The GPU build of torch brings CUDA's libraries along. For the CPU build pip must be told where it
# is: PIP_EXTRA_INDEX_URL, or, with credentials, `--secret id=pip,src=pip.conf`.
ARG BASE=python:3.11-slim-bookworm

# hadolint ignore=DL3006
FROM ${BASE} AS base
SHELL ["/bin/sh", "-euc"]
# A compiler of C: triton builds the launchers of its kernels with it.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends gcc libc6-dev tini \
    && rm -rf /var/lib/apt/lists/*

FROM base AS build
ARG TORCH=torch==2.13.0
ARG PIP_EXTRA_INDEX_URL
COPY requirements/sft.txt /src/requirements/
RUN --mount=type=secret,id=pip,target=/etc/pip.conf \
    --mount=type=cache,target=/root/.cache/pip \
    python3 -m venv --without-pip /opt/arborist \
    && python3 -m pip --python /opt/arborist/bin/python install \
        --constraint /src/requirements/sft.txt "${TORCH}"
RUN --mount=type=secret,id=pip,target=/etc/pip.conf \
    --mount=type=cache,target=/root/.cache/pip \
    python3 -m pip --python /opt/arborist/bin/python install --no-deps \
        --requirement /src/requirements/sft.txt
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
    MPLCONFIGDIR=/cache/matplotlib \
    TRITON_CACHE_DIR=/cache/triton \
    XDG_CACHE_HOME=/cache \
    RAY_USAGE_STATS_ENABLED=0 \
    RAY_process_group_cleanup_enabled=1
VOLUME ["/cache"]
WORKDIR /home/arborist
USER 10001:10001
HEALTHCHECK --interval=30s --timeout=20s --start-period=60s --retries=3 CMD ["arborist-health"]
ENTRYPOINT ["tini", "--", "arborist-entrypoint"]
CMD ["--help"]
