# docker build -t jaxnext . && docker run -p 8000:8000 -v "$PWD/runs/fc_cbam:/model:ro" jaxnext
FROM python:3.11-slim
WORKDIR /jaxnext
COPY . .
RUN pip install --no-cache-dir -c constraints.txt '.[serve]' && useradd --create-home server
USER server
EXPOSE 8000
HEALTHCHECK --start-period=120s CMD ["python", "-c", \
    "import urllib.request as r; r.urlopen('http://localhost:8000/healthz', timeout=5)"]
ENTRYPOINT ["jaxnext", "serve", "/model", "--host", "0.0.0.0"]
