# docker build -t pg_theano . && docker run --rm --user "$(id -u)" -v "$PWD:/work" pg_theano pg_theano.train seed=3
FROM python:3.13-slim
WORKDIR /opt/pg_theano
COPY pyproject.toml setup.py README.md LICENSE ./
COPY pg_theano ./pg_theano
RUN pip install --no-cache-dir . && install -d -m 1777 /work
ENV PG_THEANO_CACHE=/tmp/pg_theano MPLCONFIGDIR=/tmp/matplotlib
USER 1000
WORKDIR /work
ENTRYPOINT ["python", "-m"]
CMD ["pg_theano.train"]
