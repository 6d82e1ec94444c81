"""`python -m service_kit.healthcheck`: ends with status 0 if the service of this container is ready, else says what is not.

For images without curl. Only the standard library: it is started every few seconds.
"""

import http.client
import os
import sys

_TIMEOUT_SECONDS = 3.0


def main() -> int:
    """Asks `/health/ready` on PORT of this machine."""
    connection = http.client.HTTPConnection("127.0.0.1", int(os.environ["PORT"]), timeout=_TIMEOUT_SECONDS)
    try:
        connection.request("GET", "/health/ready")
        answer = connection.getresponse()
        print(answer.read().decode(errors="replace"))
    except (OSError, http.client.HTTPException) as error:
        print(f"no answer: {error!r}")
        return 1
    finally:
        connection.close()
    return 0 if answer.status == http.HTTPStatus.OK else 1


if __name__ == "__main__":
    sys.exit(main())
