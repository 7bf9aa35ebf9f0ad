# The whole service in one container: API, ingest, worker, courier and its own PostgreSQL, as the ordinary user `sinyal`.
#
#   docker build -t sinyal .
#   docker run -d --name sinyal -p 8000:8000 -p 8001:8001 -v sinyal:/var/lib/sinyal --stop-timeout 60 sinyal
#
# Ping needs an ICMP socket. Add the first where `docker exec sinyal sinyal doctor` asks for it; NET_RAW serves only a
# process that is root, and root's PostgreSQL would need user namespaces, which containers refuse.
#   --sysctl net.ipv4.ping_group_range="0 2147483647"
#   --cap-add NET_RAW --user 0 -e SINYAL_DATABASE_URL=...
FROM python:3.13-slim

RUN useradd --system --create-home --home-dir /home/sinyal sinyal \
    && install -d -m 0700 -o sinyal -g sinyal /var/lib/sinyal

WORKDIR /srv/sinyal
COPY requirements.lock ./
RUN pip install --no-cache-dir --require-hashes -r requirements.lock
COPY . .
RUN pip install --no-cache-dir --no-deps --no-build-isolation -e .

USER sinyal
ENV SINYAL_HOST=0.0.0.0 SINYAL_DATA_DIR=/var/lib/sinyal
VOLUME /var/lib/sinyal
# the API, and what devices send
EXPOSE 8000 8001
HEALTHCHECK --start-period=60s --timeout=5s CMD ["python", "-c", \
    "import os, urllib.request as web; web.urlopen('http://127.0.0.1:' + os.environ.get('SINYAL_PORT', '8000') + '/healthz', timeout=4)"]
CMD ["sinyal", "up"]
