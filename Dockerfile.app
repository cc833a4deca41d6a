# The app image: what was built for the base, with service/ and batch/ on top in small layers, so that a change in code
# rebuilds and ships kilobytes. The base brings the environment, tini and with-env as ENTRYPOINT, user app, /app.
ARG BASE
FROM ${BASE}

# Example recordings first: 200 kB that compress badly and hardly ever change.
COPY --link voices /app/voices
# A layer for each part, and each for itself (--link): a change in one ships no other.
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
COPY --link service/web /app/service/web
COPY --link service/*.py /app/service/

# Last: a new release's name must not cost the layer above its cache.
ARG RELEASE=unreleased
ENV RELEASE=${RELEASE}

EXPOSE 7860
STOPSIGNAL SIGTERM

# One real inference, or recent real traffic as evidence. More often while it starts, but each look costs CPU then.
HEALTHCHECK --interval=15s --timeout=20s --start-period=120s --start-interval=2s --retries=2 \
    CMD ["python", "-m", "service.probe", "health"]

CMD ["python", "-m", "service"]
