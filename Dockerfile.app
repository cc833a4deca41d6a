# The app image: the base image plus service/ and batch/ in small layers, so that a code change rebuilds and ships
# kilobytes. The base provides the environment, the ENTRYPOINT (tini and with-env), the user app and /app.
ARG BASE
FROM ${BASE}

# Example recordings first: 200 kB that compress badly and hardly ever change.
COPY --link voices /app/voices
# One independent layer (--link) for each part, so that a change in one part ships only its own layer.
COPY --link batch /app/batch
COPY --link service/access /app/service/access
COPY --link service/audio /app/service/audio
COPY --link service/control /app/service/control
COPY --link service/engines /app/service/engines
COPY --link service/hardware /app/service/hardware
COPY --link service/metrics /app/service/metrics
COPY --link service/page /app/service/page
COPY --link service/synthesis /app/service/synthesis
COPY --link service/taskfile /app/service/taskfile
COPY --link service/telemetry /app/service/telemetry
COPY --link service/web /app/service/web
COPY --link service/*.py /app/service/

# Last, because a new release name must not invalidate the cached layers above.
ARG RELEASE=unreleased
ENV RELEASE=${RELEASE}

EXPOSE 7860
STOPSIGNAL SIGTERM

# The health check runs one real inference or relies on recent successful requests. It runs more often during startup,
# where each check costs CPU. An idle container mostly runs this: hence Python without site packages, and no `-m`.
HEALTHCHECK --interval=15s --timeout=20s --start-period=120s --start-interval=2s --retries=2 \
    CMD ["python", "-S", "-c", "from service import health; health.main()"]

CMD ["python", "-m", "service"]
