# Every wheel is checked against the lock; the image then gets only those that the product itself needs.
FROM python:3.11-slim AS build
WORKDIR /source
COPY requirements.lock .
RUN pip wheel --quiet --no-cache-dir --require-hashes -r requirements.lock -w /wheels
COPY pyproject.toml README.md ./
COPY domain domain
COPY projections projections
COPY services services
COPY infra infra
RUN pip install --quiet --no-index --find-links /wheels hatchling \
 && pip wheel --quiet --no-index --no-deps --no-build-isolation -w /wheels . \
 && python -m venv /opt/lethe \
 && /opt/lethe/bin/pip install --quiet --no-index --find-links /wheels lethe

FROM python:3.11-slim
RUN useradd --system --uid 10001 --create-home --home-dir /var/lib/lethe lethe \
 && install --directory --mode 700 --owner lethe /var/lib/lethe /backups
COPY --from=build /opt/lethe /opt/lethe
ENV PATH=/opt/lethe/bin:$PATH LETHE_DATA=/var/lib/lethe LETHE_HOST=0.0.0.0 PYTHONUNBUFFERED=1
USER lethe
VOLUME /var/lib/lethe
EXPOSE 8080
ENTRYPOINT ["lethe"]
CMD ["api"]
