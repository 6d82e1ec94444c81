#!/bin/bash
# MinIO's command line and variables, SeaweedFS's answers: `server /data --console-address :9001`.
set -euo pipefail
[ "$1" = server ]
export AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY HOME=/tmp TMPDIR=/tmp
AWS_ACCESS_KEY_ID=${MINIO_ROOT_USER:-$(cat "$MINIO_ROOT_USER_FILE")}
AWS_SECRET_ACCESS_KEY=${MINIO_ROOT_PASSWORD:-$(cat "$MINIO_ROOT_PASSWORD_FILE")}
cd /tmp
exec weed -logtostderr=true mini "-dir=$2" -ip=127.0.0.1 -ip.bind=0.0.0.0 -s3.port=9000 -webdav=false -admin.ui=false \
    -master.telemetry=false -volume.preStopSeconds=0 -s3.port.iceberg=0 -s3.port.lance=0 \
    -filer.localSocket=/tmp/filer.sock -s3.localFilerSocket=/tmp/filer.sock -s3.localSocket=/tmp/s3.sock
