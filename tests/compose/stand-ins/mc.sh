#!/bin/bash
# `mc ready local`
[ "$*" = 'ready local' ] && exec 3<>/dev/tcp/127.0.0.1/9000 && printf 'GET /healthz HTTP/1.0\r\n\r\n' >&3 && grep -q ' 200 ' <&3
