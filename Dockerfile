# Two stages: what builds is not in what runs. The same steps run in a clean directory in the tests (tests/chart).
FROM python:3.13-slim AS build
WORKDIR /src
COPY pyproject.toml README.md ./
COPY bridge bridge
COPY connectors connectors
RUN python -m venv /opt/bridge && /opt/bridge/bin/pip install --no-cache-dir '.[postgres]' && /opt/bridge/bin/pip uninstall -y pip

FROM python:3.13-slim
LABEL org.opencontainers.image.title="attribution-bridge" \
      org.opencontainers.image.description="Order webhooks and streams in, attribution events out" \
      org.opencontainers.image.licenses="MIT"
COPY --from=build /opt/bridge /opt/bridge
ENV PATH=/opt/bridge/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
RUN mkdir -p /var/lib/attribution-bridge && chown 65532:65532 /var/lib/attribution-bridge
USER 65532:65532
WORKDIR /var/lib/attribution-bridge
EXPOSE 8080 9090
ENTRYPOINT ["attribution-bridge"]
CMD ["run", "--config", "/etc/attribution-bridge/bridge.yaml"]
