# syntax=docker/dockerfile:1
# Three images from one file:
#   docker build --target gateway    -t brandvoice-gateway .      no torch, no vLLM
#   docker build --target engine-cpu -t brandvoice-engine .       vLLM's CPU build, and everything that prepares
#   docker build --target engine-gpu -t brandvoice-engine-gpu .
# All run as user 10001 with a read-only root; state lies in the volume /state.

ARG PYTHON=3.11-slim-bookworm

FROM python:${PYTHON} AS base
ENV PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    BRANDVOICE_HOME=/state \
    BRANDVOICE_CONFIGS=/app/configs \
    HOME=/tmp \
    PATH=/opt/venv/bin:$PATH
RUN groupadd --gid 10001 brandvoice \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin brandvoice \
    && install -d -o brandvoice -g brandvoice /state
WORKDIR /app

# --- packages: made with what builds need, copied without it --------------------------------------------------------

FROM base AS gateway-packages
COPY requirements/gateway.txt /tmp/requirements.txt
RUN python -m venv /opt/venv && pip install --no-deps --require-hashes -r /tmp/requirements.txt

FROM base AS cpu-packages
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
COPY requirements/bootstrap.txt requirements/cpu.txt requirements/torch-cpu.txt /tmp/
RUN python -m venv /opt/venv \
    && pip install --no-deps --require-hashes -r /tmp/bootstrap.txt \
    && pip install --no-deps --require-hashes --index-url "${TORCH_INDEX}" -r /tmp/torch-cpu.txt \
    && uv pip install --python /opt/venv/bin/python --no-cache --no-deps --require-hashes -r /tmp/cpu.txt

FROM base AS gpu-packages
COPY requirements/bootstrap.txt requirements/gpu.txt /tmp/
RUN python -m venv /opt/venv \
    && pip install --no-deps --require-hashes -r /tmp/bootstrap.txt \
    && uv pip install --python /opt/venv/bin/python --no-cache --no-deps --require-hashes -r /tmp/gpu.txt

# --- gateway --------------------------------------------------------------------------------------------------------

FROM base AS gateway
COPY --from=gateway-packages /opt/venv /opt/venv
COPY configs configs
COPY retrieval retrieval
COPY channels channels
COPY training/__init__.py training/errors.py training/conversations.py training/
COPY training/voice training/voice
COPY service service
COPY samples samples
USER 10001:10001
VOLUME /state
EXPOSE 8000
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/livez', timeout=4)"]
ENTRYPOINT ["python", "-m", "service.cli"]
CMD ["serve", "--host", "0.0.0.0"]

# --- engines: prepare models, knowledge and adapters into /state, then serve them -------------------------------------

FROM base AS engine-files
COPY configs configs
COPY retrieval retrieval
COPY channels channels
COPY training training
COPY service service
COPY samples samples

FROM engine-files AS engine-cpu
# tcmalloc and OpenMP are what vLLM's CPU build runs on; a compiler is what torch asks for at start.
RUN apt-get update \
    && apt-get install -y --no-install-recommends g++=4:12.* libgomp1=12.* libnuma1=2.* \
    && rm -rf /var/lib/apt/lists/*
COPY --from=cpu-packages /opt/venv /opt/venv
USER 10001:10001
VOLUME /state
EXPOSE 8001
ENTRYPOINT ["python", "-m", "service.starting.engine_server"]
CMD ["--host", "0.0.0.0", "--port", "8001"]

FROM engine-files AS engine-gpu
RUN apt-get update \
    && apt-get install -y --no-install-recommends g++=4:12.* \
    && rm -rf /var/lib/apt/lists/*
COPY --from=gpu-packages /opt/venv /opt/venv
ENV BRANDVOICE_ENGINE__DEVICE=cuda
USER 10001:10001
VOLUME /state
EXPOSE 8001
ENTRYPOINT ["python", "-m", "service.starting.engine_server"]
CMD ["--host", "0.0.0.0", "--port", "8001"]
